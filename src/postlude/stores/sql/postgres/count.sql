SELECT state, count(*) FROM {schema}.jobs
WHERE namespace = $1 AND ($2::text IS NULL OR task = $2) AND ($3::uuid IS NULL OR chain = $3)
GROUP BY state
