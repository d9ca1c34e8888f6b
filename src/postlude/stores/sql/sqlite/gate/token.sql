SELECT hash, kind, role, who, created_at, expires_at FROM tokens WHERE hash = ?1 AND kind = ?2 AND expires_at > ?3
