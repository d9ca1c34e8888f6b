SELECT job, total_lines, total_bytes, lines FROM logs WHERE job IN ({?}) ORDER BY total_lines
