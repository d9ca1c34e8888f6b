SELECT DISTINCT chain FROM {schema}.jobs WHERE chain = ANY($1::uuid[]) AND state IN ('staged', 'queued', 'running')
