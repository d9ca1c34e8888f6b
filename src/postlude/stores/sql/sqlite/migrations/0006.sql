-- Of which running jobs somebody wants to know where they are.
CREATE TABLE questions (
    job BLOB PRIMARY KEY,
    asked_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
