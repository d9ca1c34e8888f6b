UPDATE jobs SET progress = coalesce(?, progress), saved = coalesce(?, saved) WHERE id = ? AND claim = ?
