SELECT
    RECORD
FROM jobs WHERE id IN ({?})
