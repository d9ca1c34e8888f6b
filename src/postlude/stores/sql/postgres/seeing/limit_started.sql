SELECT partition, count(*) FROM {schema}.starts
WHERE namespace = $1 AND task = $2 AND at >= $3::float8 - $4::float8 AND at + $4::float8 > $3::float8
GROUP BY partition ORDER BY count(*) DESC, partition LIMIT $5
