-- How many more connections this role may have to this database. What others do is not shown to it, but that they are
-- there; -1 is no limit.
WITH sessions (database, role) AS (
    SELECT datname, usename FROM pg_stat_activity WHERE datid IS NOT NULL AND pid <> pg_backend_pid()
)
SELECT least(
    current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
        - (SELECT count(*) FROM sessions),
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
        - (SELECT count(*) FROM sessions WHERE role = current_user),
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
        - (SELECT count(*) FROM sessions WHERE database = current_database())
)
