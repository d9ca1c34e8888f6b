ALTER TABLE {schema}.workers ADD COLUMN file text;           -- where its process has a lock of its machine, too
