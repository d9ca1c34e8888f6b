-- New work in the place of the old: nothing that an attempt at the old has come to counts for it.
UPDATE {schema}.jobs SET
    arguments = $1, policy = $2, origin = $3, queue = $4, rank = $5, expires_at = $6, partition = $7,
    run_at = coalesce($8, run_at), attempt = 0, interruptions = 0, alone = false, started_at = NULL, failure = NULL,
    reason = NULL, progress = NULL, saved = NULL
WHERE id = $9
