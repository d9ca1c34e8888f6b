SELECT id FROM {schema}.jobs WHERE namespace = $1 AND seq = ANY($2::bigint[]) ORDER BY seq
