UPDATE jobs SET after = ? WHERE id = ?
