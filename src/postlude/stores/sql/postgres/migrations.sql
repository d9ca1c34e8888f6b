SELECT version, (SELECT max(needs) FROM {schema}.migrations) FROM {schema}.migrations ORDER BY version DESC LIMIT 1
