SELECT id FROM aliases WHERE id IN ({?})
