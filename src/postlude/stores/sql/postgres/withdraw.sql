DELETE FROM {schema}.jobs USING unnest($1::uuid[], $2::bigint[]) AS named (id, owner)
WHERE jobs.id = named.id AND jobs.owner = named.owner AND jobs.state = 'staged'
RETURNING jobs.id
