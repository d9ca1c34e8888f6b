INSERT INTO {schema}.jobs
    (namespace, RECORD, alone)
SELECT $1, moved.*
FROM unnest(
    $2::uuid[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::integer[], $8::float8[], $9::float8[],
    $10::float8[], $11::float8[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::uuid[],
    $18::uuid[], $19::boolean[], $20::boolean[], $21::uuid[], $22::text[], $23::integer[], $24::float8[], $25::text[],
    $26::text[], $27::text[], $28::text[], $29::boolean[]
) AS moved
RETURNING state
