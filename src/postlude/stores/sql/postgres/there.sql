SELECT id FROM {schema}.jobs WHERE id = ANY($1::uuid[])
UNION
SELECT id FROM {schema}.aliases WHERE id = ANY($1::uuid[])
