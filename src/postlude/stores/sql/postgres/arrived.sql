SELECT stage, place, counts FROM {schema}.arrivals WHERE namespace = $1 AND move = $2
