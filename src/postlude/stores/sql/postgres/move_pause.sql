INSERT INTO {schema}.pauses (namespace, kind, name, partition, reason, since) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (namespace, kind, name, partition) DO UPDATE SET since = pauses.since
