SELECT state, count(*) FROM jobs WHERE task = ? GROUP BY state
