SELECT count(*) FROM (
    SELECT 1 FROM jobs INDEXED BY jobs_by_state WHERE state IN ('queued', 'failed', 'cancelled') AND state = ?1 LIMIT ?2
)
