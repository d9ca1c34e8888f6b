SELECT 1 FROM {schema}.jobs WHERE chain = $1 AND state IN ('staged', 'queued', 'running') LIMIT 1
