EXISTS (
        SELECT 1 FROM jobs AS one
        WHERE (one.seq = job.seq OR one.chain = job.chain) AND (
            one.state IN ('staged', 'queued', 'running')
            OR (one.key IS NOT NULL AND one.state = 'succeeded' AND EXISTS (
                SELECT 1 FROM keys WHERE keys.job = one.id AND held = 1 AND (until IS NULL OR until > :now)
            ))
        )
    )
