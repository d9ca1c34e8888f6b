-- Whoever comes second waits until the first has inserted what it took: who looks for a job then finds it.
DELETE FROM {schema}.outbox WHERE seq IN (
    SELECT seq FROM {schema}.outbox WHERE namespace = $1 ORDER BY seq LIMIT $2 FOR UPDATE
)
RETURNING seq, job
