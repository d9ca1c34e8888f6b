INSERT OR IGNORE INTO workers (id, host, pid, started_at) VALUES (?, ?, ?, unixepoch('subsec'))
