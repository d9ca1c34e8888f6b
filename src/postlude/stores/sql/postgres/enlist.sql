INSERT INTO {schema}.workers (id, namespace, host, pid, started_at, lease_until, file)
SELECT $1, $2, $3, $4, now.at, now.at + $5::float8, $6
FROM (SELECT extract(epoch FROM clock_timestamp())::float8 AS at) AS now
