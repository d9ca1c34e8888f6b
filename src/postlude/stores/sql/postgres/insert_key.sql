INSERT INTO {schema}.keys (namespace, job, task, key, until, replaceable, held) VALUES ($1, $2, $3, $4, $5, $6, $7)
