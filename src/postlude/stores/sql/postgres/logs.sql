SELECT lines FROM {schema}.logs WHERE job = $1 ORDER BY total_lines
