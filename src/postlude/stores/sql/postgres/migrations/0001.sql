-- The states that stand in the predicates of the indexes are sources only: which state a job moves to is said by job.py.
-- Times are seconds since the epoch, as everywhere in Postlude; they are the database's own (`clock_timestamp`).

CREATE TABLE {schema}.namespaces (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE {schema}.jobs (
    seq bigint GENERATED ALWAYS AS IDENTITY,                 -- the order of the inserts
    id uuid NOT NULL UNIQUE,
    namespace integer NOT NULL,
    task text COLLATE "C" NOT NULL,
    state text NOT NULL,
    arguments text,
    created_at double precision NOT NULL,
    run_at double precision NOT NULL,
    started_at double precision,
    finished_at double precision,
    attempt integer NOT NULL DEFAULT 0,
    interruptions integer NOT NULL DEFAULT 0,
    owner bigint,
    claim bigint,                                            -- cleared with the owner when the claim ends: the fence
    chain uuid,
    after uuid,
    waiting boolean NOT NULL DEFAULT false,
    alone boolean NOT NULL DEFAULT false,
    cancel_requested boolean NOT NULL DEFAULT false,
    cancelled_by uuid,
    policy text,
    origin text,
    failure text,
    reason text,
    progress text,
    queue text COLLATE "C" NOT NULL DEFAULT 'default',
    rank integer NOT NULL DEFAULT 0,                         -- minus the priority: the smallest comes first
    expires_at double precision,                             -- no attempt starts from then on
    partition text COLLATE "C",                                          -- what limits count together; NULL: nothing limits it
    key text COLLATE "C",
    result text,                                             -- JSON: what the task has returned
    saved text,                                              -- JSON: the state that its last attempt has saved
    PRIMARY KEY (namespace, seq)                             -- so that no namespace walks through the jobs of another
) WITH (fillfactor = 70);                                    -- room for the versions that a claim and a settle leave

-- Every index is partial, so that a job that is added, runs in the process that took its request and succeeds enters and
-- leaves only jobs_claimed. A lane holds the jobs of one queue, task and rank, in the order in which they are due. Those
-- that are limited have lanes of their own, and in them a line for each partition.
CREATE INDEX jobs_claimable ON {schema}.jobs (namespace, queue, task, rank, run_at, seq)
WHERE state = 'queued' AND NOT waiting AND NOT alone AND partition IS NULL;
CREATE INDEX jobs_partitioned ON {schema}.jobs (namespace, queue, task, rank, partition, run_at, seq)
WHERE partition IS NOT NULL AND state = 'queued' AND NOT waiting AND NOT alone;
CREATE INDEX jobs_claimable_limited ON {schema}.jobs (namespace, queue, task, rank, run_at)
WHERE partition IS NOT NULL AND state = 'queued' AND NOT waiting AND NOT alone;
CREATE INDEX jobs_limited ON {schema}.jobs (namespace, task, partition) WHERE partition IS NOT NULL AND state = 'running';
CREATE INDEX jobs_alone ON {schema}.jobs (namespace, run_at, seq) WHERE state = 'queued' AND NOT waiting AND alone;
CREATE INDEX jobs_behind ON {schema}.jobs (namespace, task) WHERE state = 'queued' AND waiting;
CREATE INDEX jobs_claimed ON {schema}.jobs (namespace, owner) WHERE state IN ('staged', 'running');
CREATE INDEX jobs_waiting ON {schema}.jobs (after) WHERE waiting AND state IN ('staged', 'queued', 'running');
CREATE INDEX jobs_to_cancel ON {schema}.jobs (owner) WHERE cancel_requested AND state IN ('staged', 'running');
CREATE INDEX jobs_cancelled_by ON {schema}.jobs (cancelled_by) WHERE cancelled_by IS NOT NULL;
CREATE INDEX jobs_of_chain ON {schema}.jobs (chain) WHERE chain IS NOT NULL;
-- Without what is queued: with it, this would seem to be a way to the jobs of a lane whenever few were queued as the
-- statistics were gathered.
CREATE INDEX jobs_by_state ON {schema}.jobs (namespace, state, seq) WHERE state IN ('failed', 'cancelled');

CREATE TABLE {schema}.attempts (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job uuid NOT NULL,
    number integer NOT NULL,
    outcome text NOT NULL,
    started_at double precision,
    ended_at double precision NOT NULL,
    failure text,
    reason text
);

CREATE INDEX attempts_of_job ON {schema}.attempts (job);

CREATE TABLE {schema}.workers (
    id bigint PRIMARY KEY,
    namespace integer NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    started_at double precision NOT NULL,
    lease_until double precision NOT NULL,
    stopping boolean NOT NULL DEFAULT false,
    fenced boolean NOT NULL DEFAULT false                    -- given up for dead: its lease is not extended any more
);

-- The starts that a rate still counts.
CREATE TABLE {schema}.starts (
    namespace integer NOT NULL,
    task text COLLATE "C" NOT NULL,
    partition text COLLATE "C" NOT NULL,
    at double precision NOT NULL,
    id bigint NOT NULL,                                      -- any number: a job can start twice in one moment
    until double precision NOT NULL,                         -- from then on no rate counts it
    PRIMARY KEY (namespace, task, partition, at, id)
);

CREATE INDEX starts_until ON {schema}.starts (namespace, until);

-- Who holds a key, and who has held it: whether the holder still does is said by its state.
CREATE TABLE {schema}.keys (
    job uuid PRIMARY KEY,
    namespace integer NOT NULL,
    task text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    until double precision,                                  -- how long after success; NULL: while the job is kept
    replaceable boolean NOT NULL,                            -- whether it may be changed while it waits
    held boolean NOT NULL DEFAULT true                       -- false: another one has taken it over
);

CREATE UNIQUE INDEX keys_held ON {schema}.keys (namespace, task, key) WHERE held;

-- The ids that were given to calls which another job answers.
CREATE TABLE {schema}.aliases (
    id uuid PRIMARY KEY,
    job uuid NOT NULL
);

CREATE INDEX aliases_of_job ON {schema}.aliases (job);

CREATE TABLE {schema}.pauses (
    namespace integer NOT NULL,
    kind text NOT NULL,                                      -- of what: queue, task or partition
    name text COLLATE "C" NOT NULL,                                      -- of the queue or the task
    partition text COLLATE "C" NOT NULL,                                 -- of that task; '' where a queue or a task is paused
    reason text,
    since double precision NOT NULL,
    PRIMARY KEY (namespace, kind, name, partition)
);

-- What tasks have logged: a row for each report of an attempt. The totals are those of all that the job has ever logged,
-- up to the end of the row: from them it is known which rows have to go.
CREATE TABLE {schema}.logs (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job uuid NOT NULL,
    total_lines integer NOT NULL,
    total_bytes bigint NOT NULL,
    lines text NOT NULL                                      -- a JSON array of them, oldest first
);

CREATE INDEX logs_of_job ON {schema}.logs (job, total_lines, total_bytes);

CREATE TABLE {schema}.schedules (
    namespace integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    task text COLLATE "C" NOT NULL,
    spec text NOT NULL,
    next_at double precision NOT NULL,
    last_moment double precision,                            -- the latest decided on, with a job or without
    last_job uuid,
    PRIMARY KEY (namespace, name)
);

-- Where callers leave jobs in SQLite files of their own.
CREATE TABLE {schema}.outboxes (
    namespace integer NOT NULL,
    path text COLLATE "C" NOT NULL,
    library text NOT NULL,                                   -- the SQLite library that its writers use
    mark text NOT NULL,                                      -- stands beside each job there that belongs to this store
    PRIMARY KEY (namespace, path)
);

-- Jobs with keys that were added in callers' transactions: what their keys come to is found out after the commit.
CREATE TABLE {schema}.outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace integer NOT NULL,
    job text NOT NULL                                        -- JSON
);
