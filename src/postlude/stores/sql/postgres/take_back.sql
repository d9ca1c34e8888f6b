UPDATE {schema}.arrivals SET place = $1
WHERE namespace = $2 AND move = $3 AND stage = $4 AND place IN (0, $1)
