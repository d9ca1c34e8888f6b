SELECT run_at, seq FROM jobs
WHERE state = 'queued' AND waiting = 0 AND alone = 0 AND task = ? AND run_at <= ?
ORDER BY run_at, seq LIMIT ?
