-- Those that revive_behind.sql lets run again: not what precedes the retried job, nor what it would only end, since its
-- arguments are gone (ephemeral or erased).
SELECT id, task, key FROM jobs
WHERE cancelled_by = ? AND state = 'cancelled' AND key IS NOT NULL AND coalesce(arguments, '') != ''
    AND seq > (SELECT seq FROM jobs AS revived WHERE revived.id = ?)
