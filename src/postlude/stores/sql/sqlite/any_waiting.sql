SELECT 1 FROM jobs WHERE after > x'' AND waiting = 1 AND state IN ('staged', 'queued', 'running') LIMIT 1
