UPDATE jobs SET waiting = 0
WHERE after IN ({?}) AND waiting = 1 AND state IN ('staged', 'queued', 'running')
