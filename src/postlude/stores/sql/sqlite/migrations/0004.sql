-- What is known of a move of all jobs to another store: where they come from, and where they go.

CREATE TABLE departures (
    move BLOB PRIMARY KEY,                        -- the 16 bytes of its UUID
    destination TEXT NOT NULL,                    -- for people
    shut_at REAL                                  -- from then on nothing changes here any more
) STRICT, WITHOUT ROWID;

CREATE TABLE arrivals (
    move BLOB NOT NULL,
    stage TEXT NOT NULL,
    place INTEGER,                                -- where the next parcel begins; NULL: everything has arrived
    counts TEXT NOT NULL,                         -- JSON: how many rows of each kind were written
    PRIMARY KEY (move, stage)
) STRICT, WITHOUT ROWID;
