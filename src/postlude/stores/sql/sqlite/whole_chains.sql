SELECT seq, RECORD, alone FROM jobs WHERE chain IN ({?})
