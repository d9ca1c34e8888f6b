DELETE FROM aliases WHERE id = ?
