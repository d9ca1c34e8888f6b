-- Once more by the clock: it may just have been extended.
UPDATE {schema}.workers SET fenced = true
WHERE id = ANY($1::bigint[]) AND lease_until < extract(epoch FROM clock_timestamp())::float8
RETURNING id
