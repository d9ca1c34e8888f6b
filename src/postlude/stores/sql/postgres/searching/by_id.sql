FROM {schema}.jobs WHERE namespace = :namespace
