UPDATE {schema}.keys SET held = false WHERE namespace = $1 AND task = $2 AND key = $3 AND held
