SELECT queue, task, count(*) FROM {schema}.jobs
WHERE namespace = $1 AND state IN ('staged', 'running') AND state = 'running'
GROUP BY queue, task
