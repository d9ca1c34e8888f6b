FROM {schema}.jobs WHERE namespace = :namespace AND key = :key
