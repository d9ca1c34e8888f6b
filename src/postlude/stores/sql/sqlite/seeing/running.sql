SELECT queue, task, count(*) FROM jobs INDEXED BY jobs_claimed
WHERE state IN ('staged', 'running') AND state = 'running' AND owner > 0
GROUP BY queue, task
