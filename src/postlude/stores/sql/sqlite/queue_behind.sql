WITH RECURSIVE behind (id) AS (
    SELECT jobs.id FROM jobs
    WHERE jobs.after = ? AND waiting = 1 AND state IN ('staged', 'queued', 'running')
    UNION ALL
    SELECT jobs.id FROM behind JOIN jobs ON jobs.after = behind.id
    WHERE waiting = 1 AND state IN ('staged', 'queued', 'running')
)
UPDATE jobs SET state = ?, owner = NULL, claim = NULL
WHERE id IN (SELECT id FROM behind) AND state = 'staged'
RETURNING seq, id, cancel_requested, reason, arguments IS NULL
