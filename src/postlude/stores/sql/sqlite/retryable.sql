SELECT state, arguments, after, policy, interruptions, task, key FROM jobs WHERE id = ?
