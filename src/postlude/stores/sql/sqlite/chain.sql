SELECT chain FROM jobs WHERE id = ?
