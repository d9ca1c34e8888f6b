SELECT DISTINCT task FROM {schema}.jobs WHERE namespace = $1 AND state = 'queued' AND waiting
