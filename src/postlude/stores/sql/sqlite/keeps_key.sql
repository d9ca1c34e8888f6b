SELECT 1 FROM keys WHERE job = ? AND held = 1 AND until > ?
