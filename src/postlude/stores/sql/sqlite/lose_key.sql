UPDATE keys SET held = 0 WHERE task = ? AND key = ? AND held = 1
