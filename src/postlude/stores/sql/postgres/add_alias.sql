INSERT INTO {schema}.aliases (id, job) VALUES ($1, $2)
