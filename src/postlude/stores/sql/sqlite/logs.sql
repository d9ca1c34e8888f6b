SELECT lines FROM logs WHERE job = ? ORDER BY total_lines
