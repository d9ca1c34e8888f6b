-- All states but succeeded, from the small indexes; succeeded, by far the most, is what is left of the total.
SELECT state, count(*) FROM jobs WHERE state IN ('queued', 'failed', 'cancelled') GROUP BY state
UNION ALL
SELECT state, count(*) FROM jobs WHERE state IN ('staged', 'running') GROUP BY state
