UPDATE {schema}.jobs SET
    state = $1, owner = $2, claim = $3, started_at = $4, attempt = attempt + 1, progress = NULL
WHERE seq = ANY($5::bigint[]) AND state = 'queued' AND NOT waiting
RETURNING seq, CLAIM
