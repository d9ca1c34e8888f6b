SELECT total_lines, total_bytes FROM logs WHERE job = ? ORDER BY total_lines DESC LIMIT 1
