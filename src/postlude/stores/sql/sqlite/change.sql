-- New work in the place of the old: nothing that an attempt at the old has come to counts for it.
UPDATE jobs SET
    arguments = :arguments, policy = :policy, origin = :origin, queue = :queue, rank = :rank, expires_at = :expires_at,
    partition = :partition, run_at = coalesce(:run_at, run_at), attempt = 0, interruptions = 0, alone = 0,
    started_at = NULL, failure = NULL, reason = NULL, progress = NULL, saved = NULL
WHERE id = :id
