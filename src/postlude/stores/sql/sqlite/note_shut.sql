UPDATE departures SET shut_at = ?
