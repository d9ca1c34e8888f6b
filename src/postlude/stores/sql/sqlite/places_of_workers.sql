SELECT id, host, pid FROM workers ORDER BY host, pid
