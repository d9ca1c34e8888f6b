SELECT count(*) FROM (
    SELECT 1 FROM {schema}.jobs
    WHERE namespace = $1 AND state IN ('failed', 'cancelled') AND state = $3 LIMIT $2
) AS ended
