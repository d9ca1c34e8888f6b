FROM jobs INDEXED BY jobs_claimed WHERE owner > 0 AND state IN ('staged', 'running')
