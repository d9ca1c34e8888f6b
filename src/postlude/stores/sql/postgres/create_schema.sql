-- Not by IF NOT EXISTS, which asks for the right to make one even where somebody has made it for this role.
DO $$ BEGIN IF to_regnamespace('{schema}') IS NULL THEN CREATE SCHEMA {schema}; END IF; END $$;
-- What was done to this schema, and the version that a release must at least know to work on the result.
CREATE TABLE {schema}.migrations (version integer PRIMARY KEY, needs integer NOT NULL);
