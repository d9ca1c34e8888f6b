-- Those that revive_behind.sql lets run again: not what it would only end, since its arguments are gone (ephemeral or
-- erased), nor what comes behind that.
WITH RECURSIVE cancelled AS MATERIALIZED (
    SELECT id, after, task, key FROM {schema}.jobs
    WHERE cancelled_by = ANY ($1) AND state = 'cancelled' AND coalesce(arguments, '') != ''
),
behind AS (
    SELECT id, task, key FROM cancelled WHERE after = $2
    UNION ALL
    SELECT cancelled.id, cancelled.task, cancelled.key FROM behind JOIN cancelled ON cancelled.after = behind.id
)
SELECT id, task, key FROM behind WHERE key IS NOT NULL
