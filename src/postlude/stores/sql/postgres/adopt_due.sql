-- What is due in a lane of jobs without a partition, the first of it.
UPDATE {schema}.jobs SET partition = '' WHERE namespace = $1 AND seq = ANY(ARRAY(
    SELECT seq FROM {schema}.jobs
    WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
        AND queue = $2 AND task = $3 AND rank = $4 AND run_at <= $5
    ORDER BY run_at, seq LIMIT $6
    FOR UPDATE SKIP LOCKED
))
