SELECT state, cancelled_by FROM jobs WHERE id = ?
