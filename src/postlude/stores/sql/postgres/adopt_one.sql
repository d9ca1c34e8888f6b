UPDATE {schema}.jobs SET partition = '' WHERE namespace = $1 AND seq = $2
