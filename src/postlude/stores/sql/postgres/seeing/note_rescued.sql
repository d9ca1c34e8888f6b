UPDATE {schema}.workers SET rescued = rescued + new.times
FROM unnest($1::bigint[], $2::integer[]) AS new (id, times)
WHERE workers.id = new.id
