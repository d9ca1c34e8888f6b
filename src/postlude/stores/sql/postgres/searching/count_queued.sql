SELECT count(*) FROM (
    (SELECT 1 FROM {schema}.jobs
     WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL LIMIT $2)
    UNION ALL
    (SELECT 1 FROM {schema}.jobs
     WHERE namespace = $1 AND partition IS NOT NULL AND state = 'queued' AND NOT waiting AND NOT alone LIMIT $2)
    UNION ALL
    (SELECT 1 FROM {schema}.jobs WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND alone LIMIT $2)
    UNION ALL
    (SELECT 1 FROM {schema}.jobs WHERE namespace = $1 AND state = 'queued' AND waiting LIMIT $2)
) AS queued
