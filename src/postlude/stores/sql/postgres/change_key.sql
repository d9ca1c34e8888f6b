UPDATE {schema}.keys SET until = $1 WHERE job = $2
