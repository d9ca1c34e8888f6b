UPDATE workers SET stopping = 1 WHERE id = ?
