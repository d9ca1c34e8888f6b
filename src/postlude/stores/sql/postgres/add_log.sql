INSERT INTO {schema}.logs (job, total_lines, total_bytes, lines) VALUES ($1, $2, $3, $4)
