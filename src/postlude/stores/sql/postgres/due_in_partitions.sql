SELECT wanted.partition, found.run_at, found.seq, found.expires_at
FROM unnest($6::text[], $7::bigint[]) WITH ORDINALITY AS wanted (partition, most, place), LATERAL (
    SELECT run_at, seq, expires_at FROM {schema}.jobs
    WHERE namespace = $1 AND jobs.partition IS NOT NULL AND state = 'queued' AND NOT waiting AND NOT alone
        AND queue = $2 AND task = $3 AND rank = $4 AND jobs.partition = wanted.partition AND run_at <= $5
    ORDER BY run_at, seq LIMIT wanted.most
) AS found
ORDER BY wanted.place, found.run_at, found.seq
