FROM jobs INDEXED BY jobs_of_key WHERE key = :key
