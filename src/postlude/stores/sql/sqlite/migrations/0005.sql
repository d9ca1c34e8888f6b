-- What is looked at, and by whom: statistics, what workers say of themselves, what became of the dead, who may come in.

CREATE INDEX jobs_of_key ON jobs (key) WHERE key IS NOT NULL;

-- What was counted of each task in each stretch of `step` seconds.
CREATE TABLE statistics (
    step INTEGER NOT NULL,
    moment INTEGER NOT NULL,
    task TEXT NOT NULL,
    measure TEXT NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (step, moment, task, measure)
) STRICT, WITHOUT ROWID;

ALTER TABLE workers ADD COLUMN reported_at REAL;
ALTER TABLE workers ADD COLUMN report TEXT;                       -- JSON
ALTER TABLE workers ADD COLUMN rescued INTEGER NOT NULL DEFAULT 0; -- how many of its jobs, since it died

CREATE TABLE former_workers (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at REAL NOT NULL,
    gone_at REAL NOT NULL,
    announced INTEGER NOT NULL,
    rescued INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    hash TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    role TEXT NOT NULL,
    who TEXT NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    details TEXT                                                  -- JSON
) STRICT;
