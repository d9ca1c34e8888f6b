SELECT 1 FROM jobs WHERE chain = ? AND state IN ('staged', 'queued', 'running') LIMIT 1
