UPDATE {schema}.jobs SET
    state = $1, run_at = $2, alone = $3, waiting = false, finished_at = NULL, reason = NULL, cancel_requested = false,
    cancelled_by = NULL, progress = NULL, expires_at = NULL
WHERE id = $4
