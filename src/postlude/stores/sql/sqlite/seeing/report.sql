UPDATE workers SET report = ?, reported_at = ? WHERE id = ?
