DELETE FROM aliases WHERE job IN ({?})
