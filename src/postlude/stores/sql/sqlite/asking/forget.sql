DELETE FROM questions WHERE asked_at < ?
