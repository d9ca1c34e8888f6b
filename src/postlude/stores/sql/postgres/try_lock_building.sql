SELECT pg_try_advisory_lock(hashtextextended('postlude index ' || $1, 0))
