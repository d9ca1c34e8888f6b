SELECT id, job FROM main.postlude_outbox WHERE store = ? ORDER BY rowid LIMIT ?
