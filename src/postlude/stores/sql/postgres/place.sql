SELECT seq FROM {schema}.jobs WHERE id = $1
