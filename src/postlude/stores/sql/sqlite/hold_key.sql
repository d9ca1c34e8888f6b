INSERT INTO keys (task, key, job, until, replaceable) VALUES (?, ?, ?, ?, ?)
