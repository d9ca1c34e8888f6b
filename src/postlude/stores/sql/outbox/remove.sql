DELETE FROM main.postlude_outbox WHERE id IN (SELECT value FROM json_each(?))
