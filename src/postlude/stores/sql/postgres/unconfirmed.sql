SELECT CLAIM, false AS stopping, run_at FROM {schema}.jobs
WHERE namespace = $1 AND owner = ANY($2::bigint[]) AND claim = ANY($3::bigint[]) AND state = 'running'
LIMIT $4
