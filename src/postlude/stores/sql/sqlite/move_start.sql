INSERT INTO starts (task, partition, at, id, until) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (task, partition, at, id) DO UPDATE SET until = excluded.until
