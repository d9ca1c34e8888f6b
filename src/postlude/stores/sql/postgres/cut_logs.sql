DELETE FROM {schema}.logs WHERE job = $1 AND (total_lines <= $2 OR total_bytes <= $3)
