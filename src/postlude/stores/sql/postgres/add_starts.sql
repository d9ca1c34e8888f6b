INSERT INTO {schema}.starts (namespace, task, partition, at, id, until)
SELECT $1, started.task, started.partition, $2, started.id, started.until
FROM unnest($3::text[], $4::text[], $5::bigint[], $6::float8[]) AS started (task, partition, id, until)
