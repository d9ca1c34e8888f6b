INSERT INTO {schema}.outboxes (namespace, path, library, mark) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
