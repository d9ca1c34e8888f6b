SELECT chain FROM {schema}.jobs WHERE id = $1
