INSERT INTO questions (job, asked_at) VALUES (?1, ?2) ON CONFLICT (job) DO UPDATE SET asked_at = ?2
