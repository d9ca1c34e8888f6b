UPDATE schedules SET next_at = ?, last_moment = ?, last_job = coalesce(?, last_job)
WHERE name = ? AND spec = ? AND next_at = ?
