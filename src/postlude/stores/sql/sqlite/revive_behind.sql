UPDATE jobs SET
    state = ?, waiting = 1, finished_at = NULL, reason = NULL, cancel_requested = 0, cancelled_by = NULL
WHERE cancelled_by = ? AND state = 'cancelled'
RETURNING seq, id, arguments IS NULL
