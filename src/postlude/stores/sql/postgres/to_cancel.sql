SELECT id FROM {schema}.jobs WHERE owner = $1 AND cancel_requested AND state IN ('staged', 'running')
