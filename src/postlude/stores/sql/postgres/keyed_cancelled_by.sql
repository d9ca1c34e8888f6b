-- Those that revive_behind.sql lets run again: not what precedes the retried job, nor what it would only end, since its
-- arguments are gone (ephemeral or erased).
SELECT id, task, key FROM {schema}.jobs
WHERE cancelled_by = $1 AND state = 'cancelled' AND key IS NOT NULL AND coalesce(arguments, '') != ''
    AND seq > (SELECT revived.seq FROM {schema}.jobs AS revived WHERE revived.id = $2)
