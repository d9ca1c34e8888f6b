SELECT job, until, replaceable, held FROM keys WHERE job IN ({?})
