-- The states that stand in the predicates of the indexes are sources only: which state a job moves to is said by job.py.

CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,                      -- the order of the commits
    id BLOB NOT NULL UNIQUE,                      -- the 16 bytes of the UUID
    task TEXT NOT NULL,
    state TEXT NOT NULL,
    arguments TEXT,
    created_at REAL NOT NULL,
    run_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    attempt INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,
    owner INTEGER,
    claim INTEGER,                                -- cleared with the owner when the claim ends: that is the fence
    chain BLOB,
    after BLOB,
    waiting INTEGER NOT NULL DEFAULT 0,
    alone INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    cancelled_by BLOB,
    policy TEXT,
    origin TEXT,
    failure TEXT,
    reason TEXT,
    progress TEXT
) STRICT;

-- Every index is partial, so that a job that is added, runs in the process that took its request and succeeds enters and
-- leaves only jobs_claimed: an index that each row passes through costs half as much again as the row itself.

CREATE INDEX jobs_claimable ON jobs (task, run_at) WHERE state = 'queued' AND waiting = 0 AND alone = 0;
CREATE INDEX jobs_alone ON jobs (run_at) WHERE state = 'queued' AND waiting = 0 AND alone = 1;
CREATE INDEX jobs_behind ON jobs (task) WHERE state = 'queued' AND waiting = 1;
CREATE INDEX jobs_claimed ON jobs (owner) WHERE state IN ('staged', 'running');
CREATE INDEX jobs_waiting ON jobs (after) WHERE waiting = 1 AND state IN ('staged', 'queued', 'running');
CREATE INDEX jobs_to_cancel ON jobs (owner) WHERE cancel_requested = 1 AND state IN ('staged', 'running');
CREATE INDEX jobs_cancelled_by ON jobs (cancelled_by) WHERE cancelled_by IS NOT NULL;
CREATE INDEX jobs_of_chain ON jobs (chain) WHERE chain IS NOT NULL;
CREATE INDEX jobs_by_state ON jobs (state) WHERE state IN ('queued', 'failed', 'cancelled');

CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY,
    job BLOB NOT NULL,
    number INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    started_at REAL,
    ended_at REAL NOT NULL,
    failure TEXT,
    reason TEXT
) STRICT;

CREATE INDEX attempts_of_job ON attempts (job);

CREATE TABLE workers (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at REAL NOT NULL,
    stopping INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What was done to this file, and the schema that a release must at least know to work on the result.
CREATE TABLE migrations (
    version INTEGER PRIMARY KEY,
    needs INTEGER NOT NULL
) STRICT;
