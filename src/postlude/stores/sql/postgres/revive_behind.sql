WITH RECURSIVE cancelled AS MATERIALIZED (
    SELECT id, after FROM {schema}.jobs WHERE cancelled_by = ANY ($2) AND state = 'cancelled'
),
behind AS (
    SELECT id FROM cancelled WHERE after = $3
    UNION ALL
    SELECT cancelled.id FROM behind JOIN cancelled ON cancelled.after = behind.id
)
UPDATE {schema}.jobs SET
    state = $1, waiting = true, finished_at = NULL, reason = NULL, cancel_requested = false, cancelled_by = NULL,
    expires_at = NULL
WHERE id IN (SELECT id FROM behind)
RETURNING seq, id, arguments IS NULL AS ephemeral, arguments = '' AS erased
