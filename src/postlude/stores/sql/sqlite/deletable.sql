SELECT state, chain FROM jobs WHERE id = ?
