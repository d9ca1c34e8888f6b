UPDATE {schema}.schedules SET next_at = $1, last_moment = $2
WHERE namespace = $3 AND name = $4 AND spec = $5 AND next_at = $6
