-- Loose scans: one step for each name, however many jobs. Those that run alone are too few to need one.
WITH RECURSIVE claimable (task) AS (
    SELECT min(task) FROM jobs WHERE state = 'queued' AND waiting = 0 AND alone = 0
    UNION ALL
    SELECT (SELECT min(task) FROM jobs
            WHERE state = 'queued' AND waiting = 0 AND alone = 0 AND task > claimable.task)
    FROM claimable WHERE claimable.task IS NOT NULL
), behind (task) AS (
    SELECT min(task) FROM jobs WHERE state = 'queued' AND waiting = 1
    UNION ALL
    SELECT (SELECT min(task) FROM jobs WHERE state = 'queued' AND waiting = 1 AND task > behind.task)
    FROM behind WHERE behind.task IS NOT NULL
)
SELECT task FROM claimable WHERE task IS NOT NULL
UNION
SELECT task FROM behind WHERE task IS NOT NULL
UNION
SELECT task FROM jobs WHERE state = 'queued' AND waiting = 0 AND alone = 1
