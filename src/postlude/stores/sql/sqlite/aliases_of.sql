SELECT job, id FROM aliases WHERE job IN ({?}) ORDER BY id
