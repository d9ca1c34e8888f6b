SELECT job, number, outcome, started_at, ended_at, failure, reason FROM attempts WHERE job IN ({?}) ORDER BY seq
