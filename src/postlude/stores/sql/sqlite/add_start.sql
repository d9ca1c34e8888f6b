INSERT INTO starts (task, partition, at, id, until) VALUES (?, ?, ?, ?, ?)
