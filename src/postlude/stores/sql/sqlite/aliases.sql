SELECT job FROM aliases WHERE id IN ({?})
