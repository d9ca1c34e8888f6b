WITH gone AS (
    DELETE FROM {schema}.workers WHERE id = ANY($2::bigint[]) AND NOT EXISTS (
        SELECT 1 FROM {schema}.jobs
        WHERE jobs.namespace = $1 AND jobs.owner = workers.id AND state IN ('staged', 'running')
    )
    RETURNING id, host, pid, started_at, stopping, rescued
)
INSERT INTO {schema}.former_workers (id, namespace, host, pid, started_at, gone_at, announced, rescued)
SELECT id, $1, host, pid, started_at, extract(epoch FROM clock_timestamp())::float8, stopping, rescued FROM gone
ON CONFLICT (id) DO UPDATE SET rescued = excluded.rescued
