SELECT state, arguments, after, policy, interruptions, task, key FROM {schema}.jobs WHERE id = $1 FOR UPDATE
