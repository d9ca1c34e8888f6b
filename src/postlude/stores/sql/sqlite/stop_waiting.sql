UPDATE jobs SET waiting = 0 WHERE id = ?
