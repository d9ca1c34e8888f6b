DELETE FROM jobs WHERE id = ? AND owner = ? AND state = 'staged'
