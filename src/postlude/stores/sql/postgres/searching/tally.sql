SELECT state, count(*)
WAY AND PLACED > :above AND PLACED < :below AND MATCH
GROUP BY state
