-- OFFSET 0: else this could be looked for among the newest of all jobs, one by one.
FROM (SELECT * FROM {schema}.jobs WHERE chain = :chain OFFSET 0) AS jobs WHERE namespace = :namespace
