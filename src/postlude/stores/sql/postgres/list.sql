SELECT RECORD FROM {schema}.jobs
WHERE namespace = $1 AND seq < $2 AND ($3::text[] IS NULL OR state = ANY($3)) AND ($4::text IS NULL OR task = $4)
    AND ($5::uuid IS NULL OR chain = $5)
ORDER BY seq DESC LIMIT $6
