SELECT seq, id, state, created_at, finished_at, policy, chain, key FROM {schema}.jobs
WHERE seq >= $2 AND namespace = $1 ORDER BY seq LIMIT $3
