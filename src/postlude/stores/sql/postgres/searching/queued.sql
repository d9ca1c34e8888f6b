FROM {schema}.jobs WHERE namespace = :namespace AND state = 'queued'
