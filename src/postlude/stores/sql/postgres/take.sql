-- The first of several lanes in one statement: each from the first job that is seen there, in the order of clause 7.
-- Where something of that has expired nothing is taken, and the numbers of what has expired are in the only row.
-- A worker that others have given up for dead gets nothing: it may not have learnt of that yet.
WITH worker AS MATERIALIZED (
    SELECT id FROM {schema}.workers WHERE id = $10 AND NOT fenced
), found AS MATERIALIZED (
    SELECT first.* FROM unnest($2::text[], $3::text[], $4::integer[], $5::float8[], $6::bigint[])
        AS lane (queue, task, rank, run_at, seq),
    LATERAL (
        SELECT jobs.rank, jobs.run_at, jobs.seq, jobs.expires_at FROM {schema}.jobs
        WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
            AND jobs.queue = lane.queue AND jobs.task = lane.task AND jobs.rank = lane.rank
            AND (jobs.run_at, jobs.seq) >= (lane.run_at, lane.seq) AND jobs.run_at <= $7
        ORDER BY jobs.run_at, jobs.seq LIMIT $8
        FOR UPDATE SKIP LOCKED
    ) AS first
    -- Once more: what was seen may have been paused since.
    WHERE EXISTS (SELECT 1 FROM worker) AND NOT EXISTS (
        SELECT 1 FROM {schema}.pauses WHERE namespace = $1
            AND (kind IN ('all', 'store') OR kind = 'queue' AND name = lane.queue OR kind = 'task' AND name = lane.task)
    )
    ORDER BY first.rank, first.run_at, first.seq LIMIT $8
), taken AS (
    UPDATE {schema}.jobs SET
        state = $9, owner = $10, claim = $11, started_at = $7, attempt = attempt + 1, progress = NULL
    -- By an array, which is looked up in the index whatever the statistics say. They were queued when they were locked.
    WHERE jobs.namespace = $1 AND jobs.seq = ANY(ARRAY(SELECT seq FROM found))
        AND NOT EXISTS (SELECT 1 FROM found WHERE expires_at <= $7)
    RETURNING jobs.queue, jobs.rank, jobs.run_at, jobs.seq, CLAIM
)
SELECT taken.*, expired.seqs AS expired, EXISTS (SELECT 1 FROM worker) AS lives
FROM taken RIGHT JOIN (SELECT coalesce(array_agg(seq), '{}') FROM found WHERE expires_at <= $7) AS expired (seqs) ON true
ORDER BY taken.rank, taken.run_at, taken.seq
