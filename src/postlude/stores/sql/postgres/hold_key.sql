INSERT INTO {schema}.keys (namespace, task, key, job, until, replaceable) VALUES ($1, $2, $3, $4, $5, $6)
