SELECT path, library, mark FROM outboxes WHERE path = ?
