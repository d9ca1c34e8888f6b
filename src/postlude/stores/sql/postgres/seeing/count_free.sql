SELECT lane.queue, lane.task, due.number AS due, later.number AS later, later.next_at
FROM unnest($2::text[], $3::text[], $4::integer[]) AS lane (queue, task, rank),
LATERAL (
    SELECT count(*) AS number FROM (
        SELECT 1 FROM {schema}.jobs
        WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
            AND jobs.queue = lane.queue AND jobs.task = lane.task AND jobs.rank = lane.rank
            AND run_at <= $5
        LIMIT $6
    ) AS found
) AS due,
LATERAL (
    SELECT count(*) AS number, min(run_at) AS next_at FROM (
        SELECT run_at FROM {schema}.jobs
        WHERE namespace = $1 AND state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL
            AND jobs.queue = lane.queue AND jobs.task = lane.task AND jobs.rank = lane.rank
            AND run_at > $5
        ORDER BY run_at LIMIT $6
    ) AS found
) AS later
