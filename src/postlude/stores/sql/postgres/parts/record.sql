id, task, state, arguments, attempt, interruptions, created_at, run_at, started_at, finished_at, failure, reason,
    progress, origin, policy, chain, after, waiting, cancel_requested, cancelled_by, queue, rank, expires_at, partition,
    key, result, saved
