SELECT run_at, seq, expires_at FROM jobs INDEXED BY jobs_partitioned
WHERE state = 'queued' AND waiting = 0 AND alone = 0 AND partition IS NOT NULL
    AND queue = ? AND task = ? AND rank = ? AND partition = ? AND run_at <= ?
ORDER BY run_at, seq LIMIT ?
