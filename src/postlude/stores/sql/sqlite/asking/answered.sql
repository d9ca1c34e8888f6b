DELETE FROM questions WHERE job = ?
