UPDATE jobs SET
    state = ?, run_at = ?, alone = ?, waiting = 0, finished_at = NULL, reason = NULL, cancel_requested = 0,
    cancelled_by = NULL, progress = NULL, expires_at = NULL
WHERE id = ?
