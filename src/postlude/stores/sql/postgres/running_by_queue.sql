SELECT queue, count(*) AS running FROM {schema}.jobs WHERE owner = $1 AND state IN ('staged', 'running') GROUP BY queue
