UPDATE keys SET held = 1 WHERE job = ?
