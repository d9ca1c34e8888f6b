SELECT seq, id, state, created_at, finished_at, policy, chain, key FROM {schema}.jobs
WHERE namespace = $1 AND seq >= $2 ORDER BY seq LIMIT $3
