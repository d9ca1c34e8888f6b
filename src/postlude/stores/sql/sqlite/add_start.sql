INSERT INTO starts (task, partition, at, job, until) VALUES (?, ?, ?, ?, ?)
