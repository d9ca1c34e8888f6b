SELECT job FROM {schema}.aliases WHERE id = ANY($1::uuid[])
