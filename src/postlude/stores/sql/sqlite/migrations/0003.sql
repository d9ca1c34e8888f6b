-- Where callers leave jobs in files of their own: a process that comes later takes from there what was left.

CREATE TABLE outboxes (
    path TEXT PRIMARY KEY,
    library TEXT NOT NULL,                        -- the SQLite library that its writers use
    mark TEXT NOT NULL                            -- stands beside each job there that belongs to this store
) STRICT, WITHOUT ROWID;
