DELETE FROM {schema}.tokens WHERE namespace = $1 AND expires_at <= $2
