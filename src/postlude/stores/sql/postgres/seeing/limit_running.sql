SELECT partition, count(*) FROM {schema}.jobs
WHERE namespace = $1 AND partition IS NOT NULL AND state = 'running' AND task = $2
GROUP BY partition ORDER BY count(*) DESC, partition LIMIT $3
