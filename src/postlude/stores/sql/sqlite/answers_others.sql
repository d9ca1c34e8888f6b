SELECT 1 FROM aliases WHERE job = ? LIMIT 1
