SELECT
    RECORD, seq
FROM jobs
WHERE seq < ?1 AND chain = ?5 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR task = ?3)
ORDER BY seq DESC LIMIT ?4
