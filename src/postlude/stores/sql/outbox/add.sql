INSERT INTO main.postlude_outbox (id, namespace, job)
SELECT json_extract(each.value, '$.id'), json_extract(calls.value, '$.namespace'), each.value
FROM (SELECT {calls} AS value) AS calls, json_each(calls.value, '$.jobs') AS each
