SELECT place, counts FROM {schema}.arrivals WHERE namespace = $1 AND move = $2 AND stage = $3 FOR UPDATE
