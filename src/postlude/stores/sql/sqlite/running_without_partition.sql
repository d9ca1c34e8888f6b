SELECT task, count(*) FROM jobs INDEXED BY jobs_claimed -- few are claimed at a time
WHERE owner > 0 AND state IN ('staged', 'running') AND state = 'running' AND partition IS NULL
GROUP BY task
