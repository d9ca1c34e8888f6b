WITH RECURSIVE behind (id) AS (
    SELECT jobs.id FROM {schema}.jobs
    WHERE jobs.after = $1 AND waiting AND state IN ('staged', 'queued', 'running')
    UNION ALL
    SELECT jobs.id FROM behind JOIN {schema}.jobs ON jobs.after = behind.id
    WHERE waiting AND state IN ('staged', 'queued', 'running')
)
UPDATE {schema}.jobs SET state = $2, owner = NULL, claim = NULL
WHERE id IN (SELECT id FROM behind) AND state = 'staged'
RETURNING seq, id, cancel_requested, reason, arguments IS NULL AS ephemeral
