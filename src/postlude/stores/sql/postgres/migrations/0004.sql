-- Of which running jobs somebody wants to know where they are.
CREATE TABLE {schema}.questions (
    job uuid PRIMARY KEY,
    asked_at double precision NOT NULL
);
