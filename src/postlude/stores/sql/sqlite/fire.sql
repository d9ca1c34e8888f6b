UPDATE schedules SET next_at = ?, last_moment = ? WHERE name = ? AND spec = ? AND next_at = ?
