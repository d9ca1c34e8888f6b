-- One step of a loose scan: the first waiting name that is not before the given one, and when its first job is due.
SELECT task, run_at FROM jobs
WHERE state = 'queued' AND waiting = 0 AND alone = 0 AND task >= ?
ORDER BY task, run_at, seq LIMIT 1
