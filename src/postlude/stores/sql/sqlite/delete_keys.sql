DELETE FROM keys WHERE job IN ({?})
