jobs.claim, jobs.id, jobs.task, jobs.arguments, jobs.state, jobs.attempt, jobs.interruptions, jobs.policy, jobs.origin,
    jobs.chain, jobs.after, jobs.created_at, jobs.started_at, jobs.owner, jobs.saved
