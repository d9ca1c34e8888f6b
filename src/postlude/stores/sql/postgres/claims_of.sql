SELECT CLAIM, coalesce(workers.stopping, false) AS stopping, run_at
FROM {schema}.jobs LEFT JOIN {schema}.workers ON workers.id = jobs.owner
WHERE jobs.namespace = $1 AND owner = ANY($2::bigint[]) AND state IN ('staged', 'running')
ORDER BY owner, seq LIMIT $3
