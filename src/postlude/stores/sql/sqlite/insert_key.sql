INSERT INTO keys (job, task, key, until, replaceable, held) VALUES (?, ?, ?, ?, ?, ?)
