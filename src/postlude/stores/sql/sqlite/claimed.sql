SELECT cancel_requested, reason FROM jobs WHERE id = ? AND claim = ?
