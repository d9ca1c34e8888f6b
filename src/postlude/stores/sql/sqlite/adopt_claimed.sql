UPDATE jobs SET partition = '' WHERE seq IN (
    SELECT seq FROM jobs INDEXED BY jobs_claimed -- few are claimed at a time
    WHERE owner > 0 AND state IN ('staged', 'running') AND task = ? AND partition IS NULL
)
