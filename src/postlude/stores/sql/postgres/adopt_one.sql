UPDATE {schema}.jobs SET partition = '' WHERE seq = $1
