FROM {schema}.jobs WHERE namespace = :namespace AND state IN ('failed', 'cancelled') AND state = :state
