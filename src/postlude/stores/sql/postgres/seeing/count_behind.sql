SELECT behind.task, found.number
FROM unnest($2::text[]) AS behind (task),
LATERAL (
    SELECT count(*) AS number FROM (
        SELECT 1 FROM {schema}.jobs
        WHERE namespace = $1 AND state = 'queued' AND waiting AND jobs.task = behind.task LIMIT $3
    ) AS few
) AS found
