-- Everyone who may hold a claim: those that have a row, and with $2 also those that had one when they began a write that
-- came after its end. Their distinct ids come from a loose scan: one step for each, however many claims.
WITH RECURSIVE owner (id) AS (
    SELECT min(owner) FROM {schema}.jobs WHERE $2 AND namespace = $1 AND state IN ('staged', 'running')
    UNION ALL
    SELECT (SELECT min(jobs.owner) FROM {schema}.jobs
            WHERE namespace = $1 AND state IN ('staged', 'running') AND jobs.owner > owner.id)
    FROM owner WHERE owner.id IS NOT NULL
), seen (id) AS (
    SELECT id FROM owner WHERE id IS NOT NULL
    UNION
    SELECT id FROM {schema}.workers WHERE namespace = $1
)
SELECT seen.id, workers.lease_until < extract(epoch FROM clock_timestamp())::float8 AS expired, workers.fenced, workers.file
FROM seen LEFT JOIN {schema}.workers ON workers.id = seen.id
