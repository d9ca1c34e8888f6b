UPDATE jobs SET
    state = ?, finished_at = ?, attempt = ?, interruptions = ?, started_at = ?, run_at = coalesce(?, run_at),
    failure = ?, reason = ?, alone = ?, progress = coalesce(?, progress),
    owner = NULL, claim = NULL
WHERE id = ? AND claim = ?
