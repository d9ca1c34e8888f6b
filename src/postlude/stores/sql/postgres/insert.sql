INSERT INTO {schema}.jobs (namespace, NEW_COLUMNS)
SELECT $1, new.*
FROM unnest(
    $2::uuid[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::float8[], $8::text[], $9::text[], $10::uuid[],
    $11::uuid[], $12::bigint[], $13::bigint[], $14::boolean[], $15::text[], $16::integer[], $17::float8[], $18::text[],
    $19::text[]
) AS new
