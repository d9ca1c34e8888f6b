FROM {schema}.jobs WHERE TRUE
