SELECT count(*) FROM (
    SELECT 1 FROM jobs INDEXED BY jobs_behind WHERE state = 'queued' AND waiting = 1 AND task = ? LIMIT ?
)
