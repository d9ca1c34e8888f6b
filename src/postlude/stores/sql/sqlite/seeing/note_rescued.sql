UPDATE workers SET rescued = rescued + ? WHERE id = ?
