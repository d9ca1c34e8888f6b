-- One statement for many claims, whatever they came to, of jobs that belong to no chain: nothing follows from their ends.
-- Not of those that are to run again and that somebody has asked to cancel.
WITH ended AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::bigint[], $3::float8[], $4::text[], $5::text[], $6::float8[], $7::integer[], $8::integer[],
        $9::float8[], $10::float8[], $11::text[], $12::text[], $13::boolean[], $14::text[], $15::text[]
    ) AS ended (
        id, claim, at, outcome, state, finished_at, attempt, interruptions,
        started_at, run_at, failure, reason, alone, progress, result
    )
), settled AS (
    UPDATE {schema}.jobs SET
        state = ended.state, finished_at = ended.finished_at, attempt = ended.attempt,
        interruptions = ended.interruptions, started_at = ended.started_at,
        run_at = coalesce(ended.run_at, jobs.run_at), failure = ended.failure, reason = ended.reason,
        alone = ended.alone, progress = coalesce(ended.progress, jobs.progress), result = ended.result,
        arguments = CASE WHEN ended.finished_at IS NULL THEN arguments ELSE KEPT_ARGUMENTS END, owner = NULL,
        claim = NULL
    FROM ended
    -- The ids are there twice, so that they are looked up in the index whatever the statistics say.
    WHERE jobs.id = ANY($1::uuid[]) AND jobs.id = ended.id AND jobs.claim = ended.claim AND jobs.chain IS NULL
        AND (ended.finished_at IS NOT NULL OR NOT jobs.cancel_requested)
    RETURNING jobs.id, ended.claim
), noted AS (
    INSERT INTO {schema}.attempts (job, number, outcome, started_at, ended_at, failure, reason)
    SELECT id, attempt, outcome, started_at, at, failure, reason FROM ended JOIN settled USING (id, claim)
    WHERE outcome IS NOT NULL
)
SELECT id, claim FROM settled
