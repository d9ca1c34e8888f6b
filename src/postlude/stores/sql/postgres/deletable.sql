SELECT state, chain FROM {schema}.jobs WHERE id = $1 FOR UPDATE
