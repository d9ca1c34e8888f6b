UPDATE jobs SET
    state = ?, waiting = 1, finished_at = NULL, reason = NULL, cancel_requested = 0, cancelled_by = NULL,
    expires_at = NULL
WHERE cancelled_by = ? AND state = 'cancelled' AND seq > (SELECT seq FROM jobs AS revived WHERE revived.id = ?)
RETURNING seq, id, arguments IS NULL, arguments = ''
