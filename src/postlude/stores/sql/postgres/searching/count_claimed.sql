SELECT state, count(*) FROM (
    SELECT state FROM {schema}.jobs WHERE namespace = $1 AND state IN ('staged', 'running') OFFSET 0
) AS claimed
GROUP BY state
