INSERT INTO main.postlude_outbox (id, store, job)
SELECT json_extract(each.value, '$.id'), json_extract(calls.value, '$.store'), each.value
FROM (SELECT {calls} AS value) AS calls, json_each(calls.value, '$.jobs') AS each
