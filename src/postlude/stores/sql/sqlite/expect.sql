INSERT OR IGNORE INTO arrivals (move, stage, place, counts) VALUES (?, ?, 0, '{}')
