SELECT partition, count(*) FROM starts
WHERE task = ?1 AND at >= ?2 - ?3 AND at + ?3 > ?2
GROUP BY partition ORDER BY count(*) DESC, partition LIMIT ?4
