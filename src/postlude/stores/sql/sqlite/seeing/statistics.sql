SELECT CASE WHEN ?3 <> 'task' THEN moment ELSE ?2 END, CASE WHEN ?3 <> 'moment' THEN task ELSE '' END, measure, sum(times)
FROM statistics WHERE step = ?1 AND moment >= ?2
GROUP BY 1, 2, measure
