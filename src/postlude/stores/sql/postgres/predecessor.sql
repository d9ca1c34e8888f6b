SELECT state, cancelled_by, coalesce(arguments, '') = '' AS never, after FROM {schema}.jobs WHERE id = $1 FOR SHARE
