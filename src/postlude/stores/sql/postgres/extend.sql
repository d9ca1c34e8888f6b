UPDATE {schema}.workers SET lease_until = extract(epoch FROM clock_timestamp())::float8 + $2
WHERE id = ANY($1::bigint[]) AND NOT fenced
RETURNING id, extract(epoch FROM clock_timestamp())::float8 AS at
