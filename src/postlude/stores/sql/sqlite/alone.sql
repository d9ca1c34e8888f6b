SELECT run_at, seq, expires_at, queue, task, partition FROM jobs
WHERE state = 'queued' AND waiting = 0 AND alone = 1 AND run_at <= ?
ORDER BY run_at, seq
