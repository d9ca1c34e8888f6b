SELECT total_lines, total_bytes FROM {schema}.logs WHERE job = $1 ORDER BY total_lines DESC LIMIT 1
