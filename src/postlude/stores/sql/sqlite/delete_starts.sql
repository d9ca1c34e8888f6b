DELETE FROM starts WHERE (task, partition, at, id) IN (
    SELECT task, partition, at, id FROM starts INDEXED BY starts_until WHERE until <= ? LIMIT ?
)
