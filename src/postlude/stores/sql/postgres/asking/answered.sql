DELETE FROM {schema}.questions WHERE job = ANY ($1)
