UPDATE {schema}.jobs SET
    state = $1, owner = $2, claim = $3, started_at = $4, attempt = attempt + 1, progress = NULL
WHERE namespace = $6 AND seq = ANY($5::bigint[]) AND state = 'queued' AND NOT waiting
    -- It may have been given up for dead, and not have learnt of that yet.
    AND EXISTS (SELECT 1 FROM {schema}.workers WHERE id = $2 AND NOT fenced)
RETURNING seq, CLAIM
