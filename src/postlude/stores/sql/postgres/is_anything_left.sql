SELECT EXISTS (SELECT FROM {schema}.outbox WHERE namespace = $1)
