DELETE FROM former_workers WHERE id NOT IN (SELECT id FROM former_workers ORDER BY gone_at DESC, id LIMIT ?)
