SELECT jobs.id, jobs.state, keys.until, keys.replaceable, jobs.cancel_requested, jobs.expires_at
FROM keys JOIN jobs ON jobs.id = keys.job
WHERE keys.task = ? AND keys.key = ? AND keys.held = 1
