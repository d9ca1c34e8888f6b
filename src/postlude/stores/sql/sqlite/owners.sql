-- Everyone who may hold a claim. The distinct owners come from a loose scan: one step for each, however many claims.
WITH RECURSIVE owner (id) AS (
    SELECT min(owner) FROM jobs WHERE state IN ('staged', 'running')
    UNION ALL
    SELECT (SELECT min(owner) FROM jobs WHERE state IN ('staged', 'running') AND owner > owner.id)
    FROM owner WHERE owner.id IS NOT NULL
)
SELECT id FROM owner WHERE id IS NOT NULL
UNION
SELECT id FROM workers
