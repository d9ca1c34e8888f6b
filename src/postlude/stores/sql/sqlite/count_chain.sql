SELECT state, count(*) FROM jobs WHERE chain = ?1 AND (?2 IS NULL OR task = ?2) GROUP BY state
