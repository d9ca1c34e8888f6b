-- Both by the sum that says when to come back, and not only by a difference: the two can be rounded to either side, and
-- who comes back at that very moment must not find it still counted.
SELECT partition, count(*), min(at) FROM {schema}.starts
WHERE namespace = $1 AND task = $2 AND partition = ANY($3::text[])
    AND at >= $4::float8 - $5::float8 AND at + $5::float8 > $4::float8
GROUP BY partition
