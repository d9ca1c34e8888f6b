INSERT OR REPLACE INTO pauses (kind, name, partition, reason, since) VALUES (:kind, :name, :partition, :reason, :since)
