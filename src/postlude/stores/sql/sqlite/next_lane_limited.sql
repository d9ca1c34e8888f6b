-- The same for jobs with limits.
SELECT queue, task, rank, run_at FROM jobs INDEXED BY jobs_claimable_limited
WHERE state = 'queued' AND waiting = 0 AND alone = 0 AND partition IS NOT NULL AND (queue, task, rank) >= (?, ?, ?)
ORDER BY queue, task, rank, run_at LIMIT 1
