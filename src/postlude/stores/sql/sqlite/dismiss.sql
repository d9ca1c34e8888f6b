DELETE FROM workers
WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE owner = ?1 AND state IN ('staged', 'running'))
