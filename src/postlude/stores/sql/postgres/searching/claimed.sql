FROM (SELECT * FROM {schema}.jobs WHERE namespace = :namespace AND state IN ('staged', 'running') OFFSET 0) AS jobs
WHERE TRUE
