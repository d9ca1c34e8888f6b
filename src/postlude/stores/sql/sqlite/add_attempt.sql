INSERT INTO attempts (job, number, outcome, started_at, ended_at, failure, reason) VALUES (?, ?, ?, ?, ?, ?, ?)
