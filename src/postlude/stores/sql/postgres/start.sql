UPDATE {schema}.jobs SET state = $1, started_at = started.at, attempt = attempt + 1
FROM unnest($2::uuid[], $3::bigint[], $4::float8[]) AS started (id, claim, at)
WHERE jobs.id = started.id AND jobs.claim = started.claim AND jobs.state = 'staged'
RETURNING jobs.id
