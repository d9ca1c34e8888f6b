SELECT task, attempt, policy, origin FROM jobs WHERE id = ?
