UPDATE {schema}.jobs SET after = $1 WHERE id = $2
