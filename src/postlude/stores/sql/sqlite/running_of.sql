SELECT count(*) FROM jobs WHERE task = ? AND partition = ? AND state = 'running' AND partition IS NOT NULL
