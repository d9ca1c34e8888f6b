-- What a call may ask for beside its moment: a queue, a priority, an end of its patience, a place in a limit, a key.

ALTER TABLE jobs ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
ALTER TABLE jobs ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;      -- minus the priority: the smallest comes first
ALTER TABLE jobs ADD COLUMN expires_at REAL;                      -- no attempt starts from then on
ALTER TABLE jobs ADD COLUMN partition TEXT;                       -- what limits count together; NULL: nothing limits it
ALTER TABLE jobs ADD COLUMN key TEXT;
ALTER TABLE jobs ADD COLUMN result TEXT;                          -- JSON: what the task has returned
ALTER TABLE jobs ADD COLUMN saved TEXT;                           -- JSON: the state that its last attempt has saved

-- A lane holds the jobs of one queue, task and rank, in the order in which they are due. Those that are limited have
-- lanes of their own, and in them a line for each partition: no claim has to read past the jobs of one that is full.
DROP INDEX jobs_claimable;
CREATE INDEX jobs_claimable ON jobs (queue, task, rank, run_at)
WHERE state = 'queued' AND waiting = 0 AND alone = 0 AND partition IS NULL;
CREATE INDEX jobs_claimable_limited ON jobs (queue, task, rank, run_at)
WHERE partition IS NOT NULL AND state = 'queued' AND waiting = 0 AND alone = 0;
CREATE INDEX jobs_partitioned ON jobs (queue, task, rank, partition, run_at)
WHERE partition IS NOT NULL AND state = 'queued' AND waiting = 0 AND alone = 0;
CREATE INDEX jobs_limited ON jobs (task, partition) WHERE partition IS NOT NULL AND state = 'running';

-- The starts that a rate still counts.
CREATE TABLE starts (
    task TEXT NOT NULL,
    partition TEXT NOT NULL,
    at REAL NOT NULL,
    id INTEGER NOT NULL,                          -- any number: a job can start twice in one moment
    until REAL NOT NULL,                          -- from then on no rate counts it
    PRIMARY KEY (task, partition, at, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX starts_until ON starts (until);

-- Who holds a key, and who has held it: whether the holder still does is said by its state.
CREATE TABLE keys (
    job BLOB PRIMARY KEY,
    task TEXT NOT NULL,
    key TEXT NOT NULL,
    until REAL,                                   -- how long it holds the key after success; NULL: while it is kept
    replaceable INTEGER NOT NULL,                 -- whether it may be changed while it waits
    held INTEGER NOT NULL DEFAULT 1               -- 0: another one has taken it over
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX keys_held ON keys (task, key) WHERE held = 1;

-- The ids that were given to calls which another job answers.
CREATE TABLE aliases (
    id BLOB PRIMARY KEY,
    job BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX aliases_of_job ON aliases (job);

CREATE TABLE pauses (
    kind TEXT NOT NULL,                           -- of what: queue, task or partition
    name TEXT NOT NULL,                           -- of the queue or the task
    partition TEXT NOT NULL,                      -- of that task; '' where a queue or a whole task is paused
    reason TEXT,
    since REAL NOT NULL,
    PRIMARY KEY (kind, name, partition)
) STRICT, WITHOUT ROWID;

-- What tasks have logged: a row for each report of an attempt, so that to append is to write what is new. The totals are
-- those of all that the job has ever logged, up to the end of the row: from them it is known which rows have to go.
CREATE TABLE logs (
    seq INTEGER PRIMARY KEY,
    job BLOB NOT NULL,
    total_lines INTEGER NOT NULL,
    total_bytes INTEGER NOT NULL,
    lines TEXT NOT NULL                           -- a JSON array of them, oldest first
) STRICT;

CREATE INDEX logs_of_job ON logs (job, total_lines, total_bytes);

CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    spec TEXT NOT NULL,
    next_at REAL NOT NULL,
    last_moment REAL,                             -- the latest that was decided on, with a job or without
    last_job BLOB
) STRICT;
