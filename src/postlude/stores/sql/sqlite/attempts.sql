SELECT number, outcome, started_at, ended_at, failure, reason FROM attempts WHERE job = ? ORDER BY seq
