SELECT cancel_requested, reason FROM {schema}.jobs WHERE id = $1 AND claim = $2 FOR UPDATE
