INSERT INTO departures (move, destination) VALUES (?, ?)
