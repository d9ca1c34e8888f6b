INSERT INTO {schema}.migrations (version, needs) VALUES ($1, $2) ON CONFLICT DO NOTHING
