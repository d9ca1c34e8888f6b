INSERT INTO migrations (version, needs) VALUES (?, ?)
