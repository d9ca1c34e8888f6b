UPDATE arrivals SET place = ?1 WHERE move = ?2 AND stage = ?3 AND place IN (0, ?1)
