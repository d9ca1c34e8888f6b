SELECT pg_advisory_xact_lock(number) FROM unnest($1::bigint[]) AS numbers (number)
