UPDATE {schema}.jobs SET progress = coalesce(new.progress, jobs.progress), saved = coalesce(new.saved, jobs.saved)
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[]) AS new (id, claim, progress, saved)
WHERE jobs.id = new.id AND jobs.claim = new.claim
RETURNING jobs.id
