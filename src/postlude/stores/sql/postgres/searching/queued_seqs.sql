-- What is queued, in no order, from the small indexes of which each has a part; so many of each at most.
(SELECT seq FROM {schema}.jobs
 WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL LIMIT $2)
UNION ALL
(SELECT seq FROM {schema}.jobs
 WHERE namespace = $1 AND partition IS NOT NULL AND state = 'queued' AND NOT waiting AND NOT alone LIMIT $2)
UNION ALL
(SELECT seq FROM {schema}.jobs WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND alone LIMIT $2)
UNION ALL
(SELECT seq FROM {schema}.jobs WHERE namespace = $1 AND state = 'queued' AND waiting LIMIT $2)
