WITH moving (id, state) AS MATERIALIZED (SELECT id, state FROM jobs AS job WHERE TO_MOVE <> :history)
SELECT state, count(*) FROM moving GROUP BY state
UNION ALL
SELECT 'attempts', count(*) FROM moving JOIN attempts ON attempts.job = moving.id
UNION ALL
SELECT 'logs', count(*) FROM moving JOIN logs ON logs.job = moving.id
UNION ALL
SELECT 'keys', count(*) FROM moving JOIN keys ON keys.job = moving.id
UNION ALL
SELECT 'aliases', count(*) FROM moving JOIN aliases ON aliases.job = moving.id
