INSERT INTO {schema}.namespaces (name) VALUES ($1) ON CONFLICT (name) DO NOTHING
