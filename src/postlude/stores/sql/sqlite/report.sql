UPDATE jobs SET progress = ? WHERE id = ? AND claim = ?
