INSERT OR REPLACE INTO keys (task, key, job, until, replaceable) VALUES (?, ?, ?, ?, ?)
