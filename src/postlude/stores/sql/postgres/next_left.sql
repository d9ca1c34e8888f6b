SELECT min(seq) FROM {schema}.outbox WHERE namespace = $1 AND seq > $2
