SELECT job FROM {schema}.aliases WHERE id = $1
