SELECT state, cancelled_by, arguments IS NULL FROM jobs WHERE id = ?
