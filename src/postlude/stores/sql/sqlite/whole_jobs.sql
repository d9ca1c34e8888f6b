SELECT seq, RECORD, alone FROM jobs WHERE id IN ({?})
