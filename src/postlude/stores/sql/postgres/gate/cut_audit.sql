DELETE FROM {schema}.audit WHERE namespace = $1 AND number < (
    SELECT number FROM {schema}.audit WHERE namespace = $1 ORDER BY number DESC LIMIT 1 OFFSET $2
)
