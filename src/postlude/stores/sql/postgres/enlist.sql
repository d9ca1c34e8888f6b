-- A report in which nothing is said yet: one of a release that never does has none.
INSERT INTO {schema}.workers (id, namespace, host, pid, started_at, lease_until, file, report)
SELECT $1, $2, $3, $4, now.at, now.at + $5::float8, $6, '{}'
FROM (SELECT extract(epoch FROM clock_timestamp())::float8 AS at) AS now
