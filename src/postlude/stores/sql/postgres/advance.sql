UPDATE {schema}.jobs SET waiting = false
WHERE after = ANY($1::uuid[]) AND waiting AND state IN ('staged', 'queued', 'running')
