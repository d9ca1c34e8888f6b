SELECT id, host, pid, started_at, stopping, reported_at, report,
    (SELECT count(*) FROM jobs WHERE owner = workers.id AND state IN ('staged', 'running'))
FROM workers ORDER BY started_at, id
