SELECT count(*), min(run_at) FROM (
    SELECT run_at FROM jobs INDEXED BY jobs_claimable_limited
    WHERE state = 'queued' AND waiting = 0 AND alone = 0 AND partition IS NOT NULL
        AND queue = ?1 AND task = ?2 AND rank = ?3 AND run_at > ?4
    ORDER BY run_at LIMIT ?5
)
