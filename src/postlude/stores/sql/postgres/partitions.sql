-- A loose scan through the partitions of a lane: one step for each, with its first job.
WITH RECURSIVE first AS (
    (SELECT partition, run_at, seq, expires_at, 1 AS place FROM {schema}.jobs
     WHERE namespace = $1 AND partition IS NOT NULL AND state = 'queued' AND NOT waiting AND NOT alone
        AND queue = $2 AND task = $3 AND rank = $4 AND partition >= $5
     ORDER BY partition, run_at, seq LIMIT 1)
    UNION ALL
    SELECT next.*, first.place + 1 FROM first, LATERAL (
        SELECT partition, run_at, seq, expires_at FROM {schema}.jobs
        WHERE namespace = $1 AND partition IS NOT NULL AND state = 'queued' AND NOT waiting AND NOT alone
            AND queue = $2 AND task = $3 AND rank = $4 AND jobs.partition > first.partition
        ORDER BY partition, run_at, seq LIMIT 1
    ) AS next
    WHERE first.place < $6
)
SELECT partition, run_at, seq, expires_at FROM first
