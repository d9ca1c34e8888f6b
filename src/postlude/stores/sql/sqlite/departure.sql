SELECT move, destination, shut_at FROM departures
