SELECT queue, count(*) FROM jobs WHERE owner = ? AND state IN ('staged', 'running') GROUP BY queue
