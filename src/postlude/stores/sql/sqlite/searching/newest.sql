FROM jobs WHERE 1 = 1
