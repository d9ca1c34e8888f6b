-- OFFSET 0: else this could be looked for among the ids of all namespaces.
FROM (SELECT * FROM {schema}.jobs WHERE namespace = :namespace OFFSET 0) AS jobs WHERE TRUE
