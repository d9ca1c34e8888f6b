SELECT id, host, pid, started_at, gone_at, announced, rescued FROM former_workers ORDER BY gone_at DESC, id
