-- Whether an index is there and whole; one that is being built, or whose build was cut off, is there too.
SELECT EXISTS (
    SELECT 1 FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = $1 AND relname = $2 AND indisvalid
)
