INSERT INTO pauses (kind, name, partition, reason, since) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, name, partition) DO UPDATE SET since = pauses.since
