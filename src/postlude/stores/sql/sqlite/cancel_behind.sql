WITH RECURSIVE behind (id) AS (
    SELECT jobs.id FROM jobs
    WHERE jobs.after = ? AND waiting = 1 AND state IN ('staged', 'queued', 'running')
    UNION ALL
    SELECT jobs.id FROM behind JOIN jobs ON jobs.after = behind.id
    WHERE waiting = 1 AND state IN ('staged', 'queued', 'running')
)
UPDATE jobs SET
    state = ?, finished_at = ?, reason = ?, cancelled_by = ?, owner = NULL, claim = NULL, arguments = KEPT_ARGUMENTS
WHERE id IN (SELECT id FROM behind) AND state IN ('staged', 'queued')
