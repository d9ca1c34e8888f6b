SELECT job FROM {schema}.keys WHERE job = ANY($1::uuid[]) AND held AND until > $2
