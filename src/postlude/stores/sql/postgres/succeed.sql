-- One statement for many claims: of jobs in chains only where what follows is let go in the same commit.
-- The ids are there twice, so that they are looked up in the index whatever the statistics say.
UPDATE {schema}.jobs SET
    state = $1, finished_at = ended.at, attempt = ended.attempt, interruptions = ended.interruptions,
    started_at = ended.started_at, result = ended.result, failure = NULL, reason = NULL, alone = false, owner = NULL,
    claim = NULL, arguments = KEPT_ARGUMENTS
FROM unnest($2::uuid[], $3::bigint[], $4::float8[], $5::integer[], $6::integer[], $7::float8[], $8::text[])
    AS ended (id, claim, at, attempt, interruptions, started_at, result)
WHERE jobs.id = ANY($2::uuid[]) AND jobs.id = ended.id AND jobs.claim = ended.claim AND ($9 OR jobs.chain IS NULL)
RETURNING jobs.id, ended.claim
