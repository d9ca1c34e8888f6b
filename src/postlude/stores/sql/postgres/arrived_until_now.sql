SELECT stage, place, counts FROM {schema}.arrivals
WHERE namespace = $1 AND move = $2 AND stage = ANY($3)
ORDER BY stage FOR UPDATE
