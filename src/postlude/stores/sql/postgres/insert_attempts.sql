INSERT INTO {schema}.attempts (job, number, outcome, started_at, ended_at, failure, reason)
SELECT moved.*
FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::float8[], $5::float8[], $6::text[], $7::text[]) AS moved
