-- No ephemeral one: it is not revived.
SELECT id, task, key FROM jobs
WHERE cancelled_by = ? AND state = 'cancelled' AND key IS NOT NULL AND arguments IS NOT NULL
