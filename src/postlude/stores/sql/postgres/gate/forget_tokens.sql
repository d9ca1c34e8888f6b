DELETE FROM {schema}.tokens WHERE namespace = $1 AND ($2::text IS NULL OR hash = $2)
