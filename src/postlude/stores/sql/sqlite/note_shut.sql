UPDATE departures SET shut_at = ? WHERE move = ?
