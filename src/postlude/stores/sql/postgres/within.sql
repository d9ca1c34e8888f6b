-- For a caller's connection, in the caller's transaction: one parameter, and one row that says whether this is the
-- database of the store. Whether a key is taken is not looked at here, where others that take it are not seen yet.
WITH given AS (
    SELECT CAST(CAST({calls} AS text) AS json) AS calls
),
here AS (
    SELECT
        CAST(calls ->> 'namespace' AS integer) AS namespace,
        CAST(calls ->> 'straight' AS boolean) AS straight,
        calls -> 'jobs' AS jobs
    FROM given, pg_control_system()
    WHERE calls ->> 'database' = concat(system_identifier, ' ', current_database())
),
added AS (
    INSERT INTO {schema}.jobs (namespace, NEW_COLUMNS)
    SELECT here.namespace, new.*
    FROM here, json_to_recordset(here.jobs) AS new (
        id uuid, task text, arguments text, state text, created_at float8, run_at float8, policy text, origin text,
        chain uuid, after uuid, owner bigint, claim bigint, waiting boolean, queue text, rank integer, expires_at float8,
        partition text, key text
    )
    WHERE here.straight
),
kept AS (
    INSERT INTO {schema}.outbox (namespace, job)
    SELECT here.namespace, CAST(each.value AS text)
    FROM here, json_array_elements(here.jobs) AS each
    WHERE NOT here.straight
)
SELECT count(*) > 0 FROM here
