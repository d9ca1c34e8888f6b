SELECT state, cancelled_by, coalesce(arguments, '') = '', after FROM jobs WHERE id = ?
