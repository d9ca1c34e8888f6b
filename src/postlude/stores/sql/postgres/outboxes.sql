SELECT path, library FROM {schema}.outboxes WHERE namespace = $1
