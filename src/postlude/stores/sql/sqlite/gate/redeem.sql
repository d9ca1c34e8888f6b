DELETE FROM tokens WHERE hash = ?1 AND kind = ?2 AND expires_at > ?3
RETURNING hash, kind, role, who, created_at, expires_at
