DELETE FROM attempts WHERE job IN ({?})
