FROM {schema}.jobs WHERE namespace = :namespace AND state = 'queued' AND seq = ANY(:these::bigint[])
