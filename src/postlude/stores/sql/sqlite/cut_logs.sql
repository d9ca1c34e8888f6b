DELETE FROM logs WHERE job = ? AND (total_lines <= ? OR total_bytes <= ?)
