SELECT id, host, pid, started_at, stopping, reported_at, report,
    NOT fenced AND lease_until > extract(epoch FROM clock_timestamp())::float8 AS alive
FROM {schema}.workers WHERE namespace = $1 ORDER BY started_at, id
