SELECT library FROM outboxes WHERE path = ?
