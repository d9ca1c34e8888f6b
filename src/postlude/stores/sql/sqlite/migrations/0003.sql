-- Where callers leave jobs in files of their own: a process that comes later takes from there what was left.

CREATE TABLE outboxes (
    path TEXT PRIMARY KEY,
    library TEXT NOT NULL                         -- the SQLite library that its writers use
) STRICT, WITHOUT ROWID;
