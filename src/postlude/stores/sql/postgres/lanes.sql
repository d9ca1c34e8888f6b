-- Loose scans: one step for each lane, however many jobs.
WITH RECURSIVE free AS (
    (SELECT queue, task, rank, run_at FROM {schema}.jobs
     WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
     ORDER BY queue, task, rank, run_at LIMIT 1)
    UNION ALL
    SELECT next.* FROM free, LATERAL (
        SELECT queue, task, rank, run_at FROM {schema}.jobs
        WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
            AND (jobs.queue, jobs.task, jobs.rank) > (free.queue, free.task, free.rank)
        ORDER BY queue, task, rank, run_at LIMIT 1
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
)
SELECT queue, task, rank, run_at AS first_due, false AS limited FROM free
UNION ALL
SELECT queue, task, rank, run_at, true FROM limited
