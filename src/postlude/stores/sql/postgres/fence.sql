UPDATE {schema}.workers SET fenced = true WHERE id = ANY($1::bigint[])
