SELECT state, count(*) FROM {schema}.jobs
WHERE namespace = $1 AND ($2::text[] IS NULL OR state = ANY($2)) AND ($3::text IS NULL OR task = $3)
    AND ($4::uuid IS NULL OR chain = $4)
GROUP BY state
