UPDATE {schema}.jobs SET cancel_requested = true, reason = $1 WHERE id = $2
