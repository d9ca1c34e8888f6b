INSERT INTO {schema}.starts (namespace, task, partition, at, id, until) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (namespace, task, partition, at, id) DO UPDATE SET until = excluded.until
