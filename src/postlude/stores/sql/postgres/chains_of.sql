SELECT coalesce(chain, id) FROM {schema}.jobs WHERE id = ANY($1::uuid[])
