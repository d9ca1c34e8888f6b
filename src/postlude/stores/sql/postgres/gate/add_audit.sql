INSERT INTO {schema}.audit (namespace, at, who, role, action, target, details) VALUES ($1, $2, $3, $4, $5, $6, $7)
