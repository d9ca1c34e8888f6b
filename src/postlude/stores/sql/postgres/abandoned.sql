SELECT task, attempt, policy, origin FROM {schema}.jobs WHERE id = $1
