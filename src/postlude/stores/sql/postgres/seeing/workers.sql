SELECT id, host, pid, started_at, stopping, reported_at, report,
    NOT fenced AND lease_until > extract(epoch FROM clock_timestamp())::float8 AS alive,
    (SELECT count(*) FROM {schema}.jobs
     WHERE namespace = $1 AND owner = workers.id AND state IN ('staged', 'running')) AS owns
FROM {schema}.workers WHERE namespace = $1 ORDER BY started_at, id
