-- What is looked at, and by whom: statistics, what workers say of themselves, what became of the dead, who may come in.

-- What was counted of each task in each stretch of `step` seconds.
CREATE TABLE {schema}.statistics (
    namespace integer NOT NULL,
    step integer NOT NULL,
    moment bigint NOT NULL,
    task text COLLATE "C" NOT NULL,
    measure text COLLATE "C" NOT NULL,
    times bigint NOT NULL,
    PRIMARY KEY (namespace, step, moment, task, measure)
);

ALTER TABLE {schema}.workers ADD COLUMN reported_at double precision;
ALTER TABLE {schema}.workers ADD COLUMN report text;                          -- JSON
ALTER TABLE {schema}.workers ADD COLUMN rescued integer NOT NULL DEFAULT 0;   -- how many of its jobs, since it died

CREATE TABLE {schema}.former_workers (
    id bigint PRIMARY KEY,
    namespace integer NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    started_at double precision NOT NULL,
    gone_at double precision NOT NULL,
    announced boolean NOT NULL,
    rescued integer NOT NULL
);

CREATE INDEX former_workers_by_end ON {schema}.former_workers (namespace, gone_at);

CREATE TABLE {schema}.tokens (
    namespace integer NOT NULL,
    hash text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    role text NOT NULL,
    who text NOT NULL,
    created_at double precision NOT NULL,
    expires_at double precision NOT NULL,
    PRIMARY KEY (namespace, hash)
);

CREATE TABLE {schema}.audit (
    namespace integer NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    at double precision NOT NULL,
    who text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    details text,                                                             -- JSON
    PRIMARY KEY (namespace, number)
);

-- The file on which its process has a lock of its machine, too.
ALTER TABLE {schema}.workers ADD COLUMN file text;
