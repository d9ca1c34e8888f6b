-- In one order, so that no two processes wait for each other.
INSERT INTO {schema}.statistics (namespace, step, moment, task, measure, times)
SELECT $1, new.step, new.moment, new.task, new.measure, new.times
FROM unnest($2::integer[], $3::bigint[], $4::text[], $5::text[], $6::bigint[]) AS new (step, moment, task, measure, times)
ORDER BY new.step, new.moment, new.task COLLATE "C", new.measure COLLATE "C"
ON CONFLICT (namespace, step, moment, task, measure) DO UPDATE SET times = statistics.times + excluded.times
