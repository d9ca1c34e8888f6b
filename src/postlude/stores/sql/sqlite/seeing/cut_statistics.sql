DELETE FROM statistics WHERE step = ? AND moment < ?
