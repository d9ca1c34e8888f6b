SELECT number, outcome, started_at, ended_at, failure, reason FROM {schema}.attempts WHERE job = $1 ORDER BY seq
