SELECT moment, task, measure, times FROM {schema}.statistics WHERE namespace = $1 AND step = $2 AND moment >= $3
ORDER BY moment
