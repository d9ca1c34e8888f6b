INSERT INTO {schema}.outboxes (namespace, path, library) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
