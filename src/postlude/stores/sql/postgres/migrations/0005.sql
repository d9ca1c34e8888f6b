DROP INDEX CONCURRENTLY IF EXISTS {schema}.jobs_of_key;
CREATE INDEX CONCURRENTLY jobs_of_key ON {schema}.jobs (namespace, key, seq) WHERE key IS NOT NULL;
