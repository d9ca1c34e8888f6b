SELECT count(*), min(at) FROM starts WHERE task = ? AND partition = ? AND at > ?
