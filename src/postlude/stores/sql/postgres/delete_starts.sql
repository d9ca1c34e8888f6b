DELETE FROM {schema}.starts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM {schema}.starts WHERE namespace = $1 AND until <= $2 LIMIT $3
))
