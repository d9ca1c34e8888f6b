SELECT CASE WHEN $4::text <> 'task' THEN moment ELSE $3 END, CASE WHEN $4 <> 'moment' THEN task ELSE '' END, measure,
    sum(times)::bigint
FROM {schema}.statistics WHERE namespace = $1 AND step = $2 AND moment >= $3::bigint
GROUP BY 1, 2, measure
ORDER BY 1
