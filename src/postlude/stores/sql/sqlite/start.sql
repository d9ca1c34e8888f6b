UPDATE jobs SET state = ?, started_at = ?, attempt = attempt + 1 WHERE id = ? AND claim = ? AND state = 'staged'
