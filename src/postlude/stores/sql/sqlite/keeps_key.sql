SELECT 1 FROM keys WHERE job = ? AND until > ?
