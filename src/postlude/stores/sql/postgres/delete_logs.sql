DELETE FROM {schema}.logs WHERE job = ANY($1::uuid[])
