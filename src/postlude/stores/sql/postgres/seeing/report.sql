UPDATE {schema}.workers SET report = $2, reported_at = $3 WHERE id = $1
