SELECT id FROM jobs WHERE owner = ? AND cancel_requested = 1 AND state IN ('staged', 'running')
