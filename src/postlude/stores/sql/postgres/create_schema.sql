CREATE SCHEMA IF NOT EXISTS {schema};
-- What was done to this schema, and the version that a release must at least know to work on the result.
CREATE TABLE {schema}.migrations (version integer PRIMARY KEY, needs integer NOT NULL);
