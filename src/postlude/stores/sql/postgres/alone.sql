SELECT run_at, seq, expires_at, queue, task, partition FROM {schema}.jobs
WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND alone AND run_at <= $2
ORDER BY run_at, seq
