UPDATE {schema}.jobs SET
    state = $1, finished_at = $2, reason = $3, cancelled_by = $4, owner = NULL, claim = NULL,
    arguments = KEPT_ARGUMENTS
WHERE id = $5
