SELECT path, library, mark FROM {schema}.outboxes WHERE namespace = $1
