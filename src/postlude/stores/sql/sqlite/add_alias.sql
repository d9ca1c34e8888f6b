INSERT OR REPLACE INTO aliases (id, job) VALUES (?, ?)
