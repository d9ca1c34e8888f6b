INSERT INTO outboxes (path, library) VALUES (?, ?) ON CONFLICT DO NOTHING
