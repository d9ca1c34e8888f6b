UPDATE jobs SET state = ?, owner = NULL, claim = NULL WHERE id = ? AND state = 'staged'
