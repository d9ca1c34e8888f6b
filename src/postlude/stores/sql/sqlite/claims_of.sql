SELECT 0, seq, claim, jobs.id, task, arguments, state, attempt, interruptions, policy, origin, chain, after,
    created_at, jobs.started_at, owner, saved, coalesce(workers.stopping, 0), run_at
FROM jobs LEFT JOIN workers ON workers.id = jobs.owner
WHERE owner = ? AND state IN ('staged', 'running')
ORDER BY seq LIMIT ?
