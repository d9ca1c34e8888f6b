UPDATE schedules SET last_job = ? WHERE name = ?
