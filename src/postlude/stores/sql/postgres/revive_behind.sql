UPDATE {schema}.jobs SET
    state = $1, waiting = true, finished_at = NULL, reason = NULL, cancel_requested = false, cancelled_by = NULL,
    expires_at = NULL
WHERE cancelled_by = $2 AND state = 'cancelled'
    AND seq > (SELECT revived.seq FROM {schema}.jobs AS revived WHERE revived.id = $3)
RETURNING seq, id, arguments IS NULL AS ephemeral, arguments = '' AS erased
