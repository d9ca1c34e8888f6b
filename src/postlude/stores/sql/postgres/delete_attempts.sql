DELETE FROM {schema}.attempts WHERE job = ANY($1::uuid[])
