INSERT INTO {schema}.arrivals (namespace, move, stage, place, counts)
SELECT $1, $2, stages.stage, 0, '{}' FROM unnest($3::text[]) AS stages (stage)
ON CONFLICT (namespace, move, stage) DO NOTHING
