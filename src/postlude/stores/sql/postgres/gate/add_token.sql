INSERT INTO {schema}.tokens (namespace, hash, kind, role, who, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
