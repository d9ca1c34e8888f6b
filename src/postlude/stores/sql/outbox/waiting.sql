SELECT id, job FROM main.postlude_outbox WHERE namespace = ? ORDER BY rowid LIMIT ?
