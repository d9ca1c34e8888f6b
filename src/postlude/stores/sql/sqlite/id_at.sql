SELECT id FROM jobs WHERE seq = ?
