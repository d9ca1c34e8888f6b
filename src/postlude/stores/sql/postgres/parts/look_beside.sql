SELECT 'alone', queue, task, NULL, run_at, seq, expires_at, partition FROM {schema}.jobs
WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND alone
UNION ALL
SELECT 'pause', kind, name, NULL, NULL, NULL, NULL, partition FROM {schema}.pauses WHERE namespace = $1
