INSERT INTO logs (job, total_lines, total_bytes, lines) VALUES (?, ?, ?, ?)
