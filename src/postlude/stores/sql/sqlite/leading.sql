-- What leads in its chain or has none, in the order of the commits.
SELECT seq, id, chain FROM jobs AS job
WHERE seq >= :place
    AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.chain = job.chain AND other.seq < job.seq)
    AND TO_MOVE <> :history
ORDER BY seq LIMIT :limit
