SELECT path, library, mark FROM outboxes
