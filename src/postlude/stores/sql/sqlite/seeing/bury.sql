INSERT OR IGNORE INTO former_workers (id, host, pid, started_at, gone_at, announced, rescued)
SELECT id, host, pid, started_at, unixepoch('subsec'), stopping, rescued FROM workers
WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE owner = ?1 AND state IN ('staged', 'running'))
