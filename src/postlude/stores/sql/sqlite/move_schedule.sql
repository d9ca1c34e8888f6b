INSERT INTO schedules (name, task, spec, next_at, last_moment, last_job) VALUES (:name, :task, :spec, :next_at, :last_moment, :last_job)
ON CONFLICT (name) DO UPDATE SET
    next_at = excluded.next_at, last_moment = excluded.last_moment, last_job = excluded.last_job
WHERE schedules.spec = excluded.spec
    AND (schedules.last_moment IS NULL OR schedules.last_moment <= excluded.last_moment)
