SELECT id FROM {schema}.jobs WHERE seq = ANY($1::bigint[]) ORDER BY seq
