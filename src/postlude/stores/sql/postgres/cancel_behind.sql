WITH RECURSIVE behind (id) AS (
    SELECT jobs.id FROM {schema}.jobs
    WHERE jobs.after = $1 AND waiting AND state IN ('staged', 'queued', 'running')
    UNION ALL
    SELECT jobs.id FROM behind JOIN {schema}.jobs ON jobs.after = behind.id
    WHERE waiting AND state IN ('staged', 'queued', 'running')
)
UPDATE {schema}.jobs SET
    state = $2, finished_at = $3, reason = $4, cancelled_by = $5, owner = NULL, claim = NULL,
    arguments = KEPT_ARGUMENTS
WHERE id IN (SELECT id FROM behind) AND state IN ('staged', 'queued')
