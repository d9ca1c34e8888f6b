SELECT seq, id, state, created_at, finished_at, policy, chain, key FROM jobs WHERE seq >= ? ORDER BY seq LIMIT ?
