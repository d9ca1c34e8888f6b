UPDATE {schema}.schedules SET last_job = $1 WHERE namespace = $2 AND name = $3
