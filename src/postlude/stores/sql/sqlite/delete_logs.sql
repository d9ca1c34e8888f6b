DELETE FROM logs WHERE job IN ({?})
