DELETE FROM departures WHERE move = ?
