-- The tables on which the role may not do all that a process does.
SELECT classes.relname FROM pg_class AS classes JOIN pg_namespace AS spaces ON spaces.oid = classes.relnamespace
WHERE spaces.nspname = $1 AND classes.relkind = 'r' AND classes.relname <> 'migrations' AND NOT (
    has_table_privilege(classes.oid, 'SELECT') AND has_table_privilege(classes.oid, 'INSERT')
    AND has_table_privilege(classes.oid, 'UPDATE') AND has_table_privilege(classes.oid, 'DELETE')
)
ORDER BY 1
