DELETE FROM {schema}.outbox WHERE seq = $1 RETURNING job
