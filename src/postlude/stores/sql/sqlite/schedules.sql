SELECT name, task, spec, next_at, last_moment, last_job FROM schedules ORDER BY name
