DELETE FROM tokens WHERE expires_at <= ?
