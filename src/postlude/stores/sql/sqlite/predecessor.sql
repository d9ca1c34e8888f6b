SELECT state, cancelled_by, arguments IS NULL, after FROM jobs WHERE id = ?
