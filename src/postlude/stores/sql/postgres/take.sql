-- The first of several lanes in one statement: each from the first job that is seen there, in the order of clause 7.
-- What has expired is found and not taken.
WITH found AS MATERIALIZED (
    SELECT lane.number, first.* FROM unnest($2::text[], $3::text[], $4::integer[], $5::float8[], $6::bigint[])
        WITH ORDINALITY AS lane (queue, task, rank, run_at, seq, number),
    LATERAL (
        SELECT jobs.rank, jobs.run_at, jobs.seq, jobs.expires_at FROM {schema}.jobs
        WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
            AND jobs.queue = lane.queue AND jobs.task = lane.task AND jobs.rank = lane.rank
            AND (jobs.run_at, jobs.seq) >= (lane.run_at, lane.seq) AND jobs.run_at <= $7
        ORDER BY jobs.run_at, jobs.seq LIMIT $8
        FOR UPDATE SKIP LOCKED
    ) AS first
    ORDER BY first.rank, first.run_at, first.seq LIMIT $8
), taken AS (
    UPDATE {schema}.jobs SET
        state = $9, owner = $10, claim = $11, started_at = $7, attempt = attempt + 1, progress = NULL
    FROM found
    WHERE jobs.seq = found.seq AND (found.expires_at IS NULL OR found.expires_at > $7)
        AND jobs.state = 'queued' AND NOT jobs.waiting
    RETURNING jobs.seq, CLAIM
)
SELECT found.number, found.run_at, found.seq AS place, found.expires_at, taken.*
FROM found LEFT JOIN taken ON taken.seq = found.seq
ORDER BY found.rank, found.run_at, found.seq
