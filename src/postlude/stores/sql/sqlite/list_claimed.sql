SELECT
    RECORD, seq
FROM jobs INDEXED BY jobs_claimed -- few are claimed at a time: sorting those is less than reading all jobs backwards
WHERE seq < ?1 AND owner > 0 AND state IN ('staged', 'running') AND state = ?2 AND (?3 IS NULL OR task = ?3)
ORDER BY seq DESC LIMIT ?4
