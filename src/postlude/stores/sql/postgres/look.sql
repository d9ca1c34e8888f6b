-- What waits, from the beginning of each lane. Loose scans: one step for each lane or name, however many jobs.
WITH RECURSIVE free AS (
    (SELECT queue, task, rank, run_at, seq FROM {schema}.jobs
     WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
     ORDER BY queue, task, rank, run_at, seq LIMIT 1)
    UNION ALL
    SELECT next.* FROM free, LATERAL (
        SELECT queue, task, rank, run_at, seq FROM {schema}.jobs
        WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
            AND (jobs.queue, jobs.task, jobs.rank) > (free.queue, free.task, free.rank)
        ORDER BY queue, task, rank, run_at, seq LIMIT 1
    ) AS next
), limited AS (
    (SELECT queue, task, rank, run_at FROM {schema}.jobs
     WHERE namespace = $1 AND partition IS NOT NULL AND state = 'queued' AND NOT waiting AND NOT alone
     ORDER BY queue, task, rank, run_at LIMIT 1)
    UNION ALL
    SELECT next.* FROM limited, LATERAL (
        SELECT queue, task, rank, run_at FROM {schema}.jobs
        WHERE namespace = $1 AND partition IS NOT NULL AND state = 'queued' AND NOT waiting AND NOT alone
            AND (jobs.queue, jobs.task, jobs.rank) > (limited.queue, limited.task, limited.rank)
        ORDER BY queue, task, rank, run_at LIMIT 1
    ) AS next
), behind AS (
    (SELECT task FROM {schema}.jobs WHERE namespace = $1 AND state = 'queued' AND waiting ORDER BY task LIMIT 1)
    UNION ALL
    SELECT next.task FROM behind, LATERAL (
        SELECT task FROM {schema}.jobs WHERE namespace = $1 AND state = 'queued' AND waiting AND jobs.task > behind.task
        ORDER BY task LIMIT 1
    ) AS next
)
SELECT 'free' AS kind, queue, task, rank, run_at, seq, NULL::float8 AS expires_at, NULL AS partition FROM free
UNION ALL
SELECT 'limited', queue, task, rank, run_at, NULL, NULL, NULL FROM limited
UNION ALL
SELECT 'behind', NULL, task, NULL, NULL, NULL, NULL, NULL FROM behind
UNION ALL
LOOK_BESIDE
