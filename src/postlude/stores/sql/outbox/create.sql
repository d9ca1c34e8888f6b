CREATE TABLE IF NOT EXISTS main.postlude_outbox (
    id TEXT NOT NULL PRIMARY KEY,
    store TEXT NOT NULL,
    job TEXT NOT NULL
)
