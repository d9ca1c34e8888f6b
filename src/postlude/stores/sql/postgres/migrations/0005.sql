-- By itself: what else a migration locked would be locked for as long as this takes.
CREATE INDEX jobs_of_key ON {schema}.jobs (namespace, key, seq) WHERE key IS NOT NULL;
