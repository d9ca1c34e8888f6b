SELECT name, task, spec, next_at, last_moment, last_job FROM {schema}.schedules WHERE namespace = $1
ORDER BY name
