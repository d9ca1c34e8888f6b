SELECT id, host, pid, started_at, stopping, reported_at, report FROM workers ORDER BY started_at, id
