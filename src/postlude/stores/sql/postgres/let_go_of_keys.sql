DELETE FROM {schema}.keys WHERE job = ANY($1::uuid[])
