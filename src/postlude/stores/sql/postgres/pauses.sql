SELECT kind, name, partition, reason, since FROM {schema}.pauses WHERE namespace = $1
