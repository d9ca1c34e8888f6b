DELETE FROM {schema}.tokens WHERE namespace = $1 AND hash = $2 AND kind = $3 AND expires_at > $4
RETURNING hash, kind, role, who, created_at, expires_at
