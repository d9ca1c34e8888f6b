UPDATE jobs SET cancel_requested = 1, reason = ? WHERE id = ?
