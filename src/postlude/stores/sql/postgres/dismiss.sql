DELETE FROM {schema}.workers WHERE id = ANY($2::bigint[]) AND NOT EXISTS (
    SELECT 1 FROM {schema}.jobs WHERE jobs.namespace = $1 AND jobs.owner = workers.id AND state IN ('staged', 'running')
)
