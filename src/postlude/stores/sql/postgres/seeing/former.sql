SELECT id, host, pid, started_at, gone_at, announced, rescued FROM {schema}.former_workers
WHERE namespace = $1 ORDER BY gone_at DESC, id LIMIT $2
