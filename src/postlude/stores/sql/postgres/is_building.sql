-- Whether an index of a table in this schema is being built. Of other roles the first view shows only that they build one;
-- and of which table tells the lock.
SELECT EXISTS (
    SELECT 1 FROM pg_stat_progress_create_index AS building JOIN pg_locks USING (pid)
    JOIN pg_class ON pg_class.oid = relation JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE building.datname = current_database() AND nspname = $1
        AND relkind = 'r' AND mode = 'ShareUpdateExclusiveLock' AND granted
)
