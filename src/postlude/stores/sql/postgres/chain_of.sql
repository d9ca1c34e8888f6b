SELECT coalesce(chain, id) FROM {schema}.jobs WHERE id = $1
