DELETE FROM keys WHERE job = ?
