INSERT INTO audit (at, who, role, action, target, details) VALUES (?, ?, ?, ?, ?, ?)
