INSERT INTO {schema}.schedules (namespace, name, task, spec, next_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (namespace, name) DO UPDATE SET
    next_at = CASE WHEN schedules.spec = excluded.spec THEN schedules.next_at ELSE excluded.next_at END,
    task = excluded.task,
    spec = excluded.spec
WHERE schedules.spec = excluded.spec
    OR schedules.last_moment IS NULL
    OR schedules.last_moment < excluded.next_at
