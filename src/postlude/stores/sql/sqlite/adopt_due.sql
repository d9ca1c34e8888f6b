-- What is due in a lane of jobs without a partition, the first of it.
UPDATE jobs SET partition = '' WHERE seq IN (
    SELECT seq FROM jobs
    WHERE state = 'queued' AND waiting = 0 AND alone = 0 AND partition IS NULL
        AND queue = ? AND task = ? AND rank = ? AND run_at <= ?
    ORDER BY run_at, seq LIMIT ?
)
