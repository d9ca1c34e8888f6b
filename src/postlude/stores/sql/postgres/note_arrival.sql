UPDATE {schema}.arrivals SET place = $1, counts = $2 WHERE namespace = $3 AND move = $4 AND stage = $5
