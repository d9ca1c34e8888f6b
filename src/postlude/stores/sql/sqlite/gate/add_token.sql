INSERT INTO tokens (hash, kind, role, who, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
