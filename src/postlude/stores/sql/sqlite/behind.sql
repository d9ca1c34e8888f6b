-- A loose scan: one step for each name, however many jobs.
WITH RECURSIVE behind (task) AS (
    SELECT min(task) FROM jobs WHERE state = 'queued' AND waiting = 1
    UNION ALL
    SELECT (SELECT min(task) FROM jobs WHERE state = 'queued' AND waiting = 1 AND task > behind.task)
    FROM behind WHERE behind.task IS NOT NULL
)
SELECT task FROM behind WHERE task IS NOT NULL
