SELECT at, who, role, action, target, details, number FROM {schema}.audit
WHERE namespace = $1 AND number < $2 ORDER BY number DESC LIMIT $3
