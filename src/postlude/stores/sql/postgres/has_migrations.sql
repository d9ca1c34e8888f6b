-- Not by to_regclass, which may remember that there was none before another process made it.
SELECT EXISTS (
    SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
    WHERE nspname = $1 AND relname = 'migrations'
)
