id, task, arguments, state, created_at, run_at, policy, origin, chain, after, owner, claim, waiting, queue, rank, expires_at, partition, key
