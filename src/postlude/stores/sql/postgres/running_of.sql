SELECT partition, count(*) FROM {schema}.jobs
WHERE namespace = $1 AND task = $2 AND partition = ANY($3::text[]) AND state = 'running' AND partition IS NOT NULL
GROUP BY partition
