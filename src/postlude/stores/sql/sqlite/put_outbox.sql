INSERT INTO outboxes (path, library, mark) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
