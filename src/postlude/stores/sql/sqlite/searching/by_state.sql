FROM jobs INDEXED BY jobs_by_state WHERE state IN ('queued', 'failed', 'cancelled') AND state = :state
