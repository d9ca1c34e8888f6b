UPDATE arrivals SET place = ?, counts = ? WHERE move = ? AND stage = ?
