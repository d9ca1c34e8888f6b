SELECT
    id, task, state, arguments, attempt, interruptions, created_at, run_at, started_at, finished_at, failure, reason,
    progress, origin, policy, chain, after, waiting, cancel_requested, cancelled_by, seq
FROM jobs
WHERE seq < ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR task = ?3)
ORDER BY seq DESC LIMIT ?4
