SELECT stage, place, counts FROM arrivals WHERE move = ?
