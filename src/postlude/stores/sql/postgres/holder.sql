SELECT jobs.id, jobs.state, keys.until, keys.replaceable, jobs.cancel_requested, jobs.expires_at
FROM {schema}.keys JOIN {schema}.jobs ON jobs.id = keys.job
WHERE keys.namespace = $1 AND keys.task = $2 AND keys.key = $3 AND keys.held
FOR UPDATE OF jobs
