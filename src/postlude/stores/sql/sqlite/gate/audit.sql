SELECT at, who, role, action, target, details, number FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?
