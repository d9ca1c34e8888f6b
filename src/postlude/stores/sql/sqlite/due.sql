SELECT run_at, seq, expires_at FROM jobs
WHERE state = 'queued' AND waiting = 0 AND alone = 0 AND partition IS NULL
    AND queue = ? AND task = ? AND rank = ? AND run_at <= ?
ORDER BY run_at, seq LIMIT ?
