SELECT count(*) FROM jobs WHERE state IN ('staged', 'running')
