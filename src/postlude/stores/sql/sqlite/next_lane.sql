-- One step of a loose scan: the next lane of jobs without limits, and when its first job is due.
-- Not with >, for which SQLite would begin at the place itself, and read past all the jobs there.
SELECT queue, task, rank, run_at FROM jobs
WHERE state = 'queued' AND waiting = 0 AND alone = 0 AND partition IS NULL AND (queue, task, rank) >= (?, ?, ?)
ORDER BY queue, task, rank, run_at LIMIT 1
