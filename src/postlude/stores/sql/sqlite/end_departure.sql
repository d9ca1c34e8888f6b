DELETE FROM departures
