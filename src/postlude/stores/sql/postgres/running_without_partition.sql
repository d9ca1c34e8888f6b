SELECT count(*) FROM {schema}.jobs
WHERE namespace = $1 AND state IN ('staged', 'running') AND state = 'running' AND task = $2 AND partition IS NULL
