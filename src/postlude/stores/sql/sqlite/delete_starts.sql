DELETE FROM starts WHERE (task, partition, at, job) IN (
    SELECT task, partition, at, job FROM starts INDEXED BY starts_until WHERE until <= ? LIMIT ?
)
