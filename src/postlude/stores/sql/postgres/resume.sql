DELETE FROM {schema}.pauses WHERE namespace = $1 AND kind = $2 AND name = $3 AND partition = $4
