INSERT INTO {schema}.attempts (job, number, outcome, started_at, ended_at, failure, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7)
