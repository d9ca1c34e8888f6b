-- The same of the lanes that are known, each from its front; and of those that are not, between each two that are.
WITH RECURSIVE unknown AS (
    SELECT next.*, gap.until_queue, gap.until_task, gap.until_rank
    FROM unnest($7::text[], $8::text[], $9::integer[], $10::text[], $11::text[], $12::integer[])
        AS gap (queue, task, rank, until_queue, until_task, until_rank),
    LATERAL (
        SELECT queue, task, rank, run_at, seq FROM {schema}.jobs
        WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
            AND (jobs.queue, jobs.task, jobs.rank) > (gap.queue, gap.task, gap.rank)
            AND (jobs.queue, jobs.task, jobs.rank) < (gap.until_queue, gap.until_task, gap.until_rank)
        ORDER BY queue, task, rank, run_at, seq LIMIT 1
    ) AS next
    UNION ALL
    SELECT next.*, unknown.until_queue, unknown.until_task, unknown.until_rank
    FROM unknown, LATERAL (
        SELECT queue, task, rank, run_at, seq FROM {schema}.jobs
        WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
            AND (jobs.queue, jobs.task, jobs.rank) > (unknown.queue, unknown.task, unknown.rank)
            AND (jobs.queue, jobs.task, jobs.rank) < (unknown.until_queue, unknown.until_task, unknown.until_rank)
        ORDER BY queue, task, rank, run_at, seq LIMIT 1
    ) AS next
)
SELECT 'free' AS kind, known.queue, known.task, known.rank, first.run_at, first.seq, NULL::float8 AS expires_at,
    NULL AS partition
FROM unnest($2::text[], $3::text[], $4::integer[], $5::float8[], $6::bigint[]) AS known (queue, task, rank, run_at, seq),
LATERAL (
    SELECT run_at, seq FROM {schema}.jobs
    WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
        AND jobs.queue = known.queue AND jobs.task = known.task AND jobs.rank = known.rank
        AND (jobs.run_at, jobs.seq) > (known.run_at, known.seq)
    ORDER BY run_at, seq LIMIT 1
) AS first
UNION ALL
SELECT 'free', queue, task, rank, run_at, seq, NULL, NULL FROM unknown
UNION ALL
LOOK_BESIDE
