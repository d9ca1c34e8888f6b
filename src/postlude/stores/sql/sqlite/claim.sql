UPDATE jobs SET state = ?, owner = ?, claim = ?, started_at = ?, attempt = attempt + 1, progress = NULL
WHERE seq IN ({?})
RETURNING run_at, seq, claim, id, task, arguments, state, attempt, interruptions, policy, origin, chain, after,
    created_at, started_at, owner, saved
