UPDATE {schema}.keys SET held = true WHERE job = $1
