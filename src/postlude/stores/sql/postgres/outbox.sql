SELECT library FROM {schema}.outboxes WHERE namespace = $1 AND path = $2
