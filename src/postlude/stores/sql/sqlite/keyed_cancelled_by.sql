SELECT id, task, key FROM jobs WHERE cancelled_by = ? AND state = 'cancelled' AND key IS NOT NULL
