WITH RECURSIVE cancelled (id, after) AS MATERIALIZED (
    SELECT jobs.id, jobs.after FROM json_each(:roots) AS root JOIN jobs ON jobs.cancelled_by = unhex(root.value)
    WHERE jobs.state = 'cancelled'
),
behind (id) AS (
    SELECT id FROM cancelled WHERE after = :job
    UNION ALL
    SELECT cancelled.id FROM behind JOIN cancelled ON cancelled.after = behind.id
)
UPDATE jobs SET
    state = :revived, waiting = 1, finished_at = NULL, reason = NULL, cancel_requested = 0, cancelled_by = NULL,
    expires_at = NULL
WHERE id IN (SELECT id FROM behind)
RETURNING seq, id, arguments IS NULL, arguments = ''
