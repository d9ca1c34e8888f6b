SELECT DISTINCT job FROM {schema}.aliases WHERE job = ANY($1::uuid[])
