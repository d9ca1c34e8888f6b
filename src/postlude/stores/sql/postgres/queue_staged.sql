UPDATE {schema}.jobs SET state = $1, owner = NULL, claim = NULL WHERE id = $2 AND state = 'staged'
