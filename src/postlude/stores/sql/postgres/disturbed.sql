-- Whether this server took over from another within so many seconds, or has come back from the crash of a backend: both cut
-- all connections, and neither is in pg_postmaster_start_time. Of both only the checkpoint tells that follows them, in
-- whole seconds. After a crash it is at once, and begins where its own record is, as none does while there are
-- connections. After a takeover it takes its time, and until its end the log is on a later timeline.
SELECT timeline_id <> ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer
    OR checkpoint_time > greatest(pg_postmaster_start_time(), clock_timestamp() - make_interval(secs => $1::float8 + 1))
    AND (redo_lsn = checkpoint_lsn OR pg_last_xact_replay_timestamp() IS NOT NULL)
FROM pg_control_checkpoint()
