SELECT count(*) FROM (SELECT 1 FROM {schema}.jobs WHERE namespace = $1 LIMIT $2) AS found
