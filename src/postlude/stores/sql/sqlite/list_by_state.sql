SELECT
    RECORD, seq
FROM jobs
WHERE seq < ?1 AND state IN ('queued', 'failed', 'cancelled') AND state = ?2 AND (?3 IS NULL OR task = ?3)
ORDER BY seq DESC LIMIT ?4
