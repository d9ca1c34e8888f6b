SELECT RECORD FROM {schema}.jobs WHERE id = ANY($1::uuid[])
