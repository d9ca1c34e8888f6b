SELECT path, library FROM outboxes
