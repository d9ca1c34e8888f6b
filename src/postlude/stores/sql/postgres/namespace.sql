SELECT id FROM {schema}.namespaces WHERE name = $1
