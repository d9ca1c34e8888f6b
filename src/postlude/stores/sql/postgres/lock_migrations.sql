SELECT pg_advisory_xact_lock(hashtextextended('postlude migrations ' || $1, 0))
