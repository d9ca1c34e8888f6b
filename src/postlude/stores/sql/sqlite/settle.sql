UPDATE jobs SET
    state = ?, finished_at = ?, attempt = ?, interruptions = ?, started_at = ?, run_at = coalesce(?, run_at),
    failure = ?, reason = ?, alone = ?, owner = NULL, claim = NULL
WHERE id = ? AND claim = ?
