UPDATE jobs SET
    state = ?, finished_at = ?, reason = ?, cancelled_by = ?, owner = NULL, claim = NULL, arguments = KEPT_ARGUMENTS
WHERE id = ?
