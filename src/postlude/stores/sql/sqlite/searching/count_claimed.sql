SELECT state, count(*) FROM jobs INDEXED BY jobs_claimed WHERE state IN ('staged', 'running') GROUP BY state
