DELETE FROM {schema}.questions WHERE asked_at < $1
