UPDATE jobs SET
    arguments = ?, policy = ?, origin = ?, queue = ?, rank = ?, expires_at = ?, partition = ?,
    run_at = coalesce(?, run_at)
WHERE id = ?
