SELECT run_at, seq, expires_at FROM {schema}.jobs
WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
    AND queue = $2 AND task = $3 AND rank = $4 AND (run_at, seq) >= ($5, $6) AND run_at <= $7
ORDER BY run_at, seq LIMIT $8
FOR UPDATE SKIP LOCKED
