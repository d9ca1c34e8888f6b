-- Those that revive_behind.sql lets run again: not what it would only end, since its arguments are gone (ephemeral or
-- erased), nor what comes behind that.
WITH RECURSIVE cancelled (id, after, task, key) AS MATERIALIZED (
    SELECT jobs.id, jobs.after, jobs.task, jobs.key
    FROM json_each(:roots) AS root JOIN jobs ON jobs.cancelled_by = unhex(root.value)
    WHERE jobs.state = 'cancelled' AND coalesce(jobs.arguments, '') != ''
),
behind (id, task, key) AS (
    SELECT id, task, key FROM cancelled WHERE after = :job
    UNION ALL
    SELECT cancelled.id, cancelled.task, cancelled.key FROM behind JOIN cancelled ON cancelled.after = behind.id
)
SELECT id, task, key FROM behind WHERE key IS NOT NULL
