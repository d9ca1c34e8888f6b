-- The first job that a search does not look at any more.
SELECT PLACED
WAY AND PLACED > :above AND PLACED < :below
ORDER BY PLACED DESC LIMIT 1 OFFSET :look
