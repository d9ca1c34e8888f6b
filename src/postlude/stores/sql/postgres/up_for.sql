SELECT clock_timestamp() - pg_postmaster_start_time() >= make_interval(secs => $1)
