DELETE FROM pauses WHERE kind = ? AND name = ? AND partition = ?
