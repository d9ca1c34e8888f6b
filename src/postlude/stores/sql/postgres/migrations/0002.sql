-- What is known of a move of all jobs from another store to this one.

CREATE TABLE {schema}.arrivals (
    namespace integer NOT NULL,
    move uuid NOT NULL,
    stage text COLLATE "C" NOT NULL,
    place bigint,                                            -- where the next parcel begins; NULL: all has arrived
    counts text NOT NULL,                                    -- JSON: how many rows of each kind were written
    PRIMARY KEY (namespace, move, stage)
);
