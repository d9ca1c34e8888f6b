DELETE FROM {schema}.former_workers WHERE namespace = $1 AND gone_at < (
    SELECT gone_at FROM {schema}.former_workers WHERE namespace = $1 ORDER BY gone_at DESC LIMIT 1 OFFSET $2
)
