-- Both by the sum that says when to come back, and not only by a difference: the two can be rounded to either side, and
-- who comes back at that very moment must not find it still counted.
SELECT count(*), min(at) FROM starts WHERE task = ?1 AND partition = ?2 AND at >= ?3 - ?4 AND at + ?4 > ?3
