UPDATE {schema}.jobs SET waiting = false WHERE id = $1
