UPDATE {schema}.jobs SET chain = $1 WHERE id = $1 AND chain IS NULL
