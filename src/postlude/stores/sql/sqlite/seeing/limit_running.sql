SELECT partition, count(*) FROM jobs INDEXED BY jobs_limited
WHERE partition IS NOT NULL AND state = 'running' AND task = ?
GROUP BY partition ORDER BY count(*) DESC, partition LIMIT ?
