UPDATE {schema}.jobs SET
    state = $1, finished_at = $2, attempt = $3, interruptions = $4, started_at = $5, run_at = coalesce($6, run_at),
    failure = $7, reason = $8, alone = $9, progress = coalesce($10, progress), result = $11,
    arguments = CASE WHEN $2::float8 IS NULL THEN arguments ELSE KEPT_ARGUMENTS END, owner = NULL, claim = NULL
WHERE id = $12 AND claim = $13
