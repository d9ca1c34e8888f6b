UPDATE {schema}.jobs SET chain = $1 WHERE chain = $2
