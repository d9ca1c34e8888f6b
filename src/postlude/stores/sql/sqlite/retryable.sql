SELECT state, arguments, after, policy, interruptions FROM jobs WHERE id = ?
