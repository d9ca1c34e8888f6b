-- The same for jobs that ask for nothing beside their moment.
INSERT INTO jobs
    (id, task, arguments, state, created_at, run_at, policy, origin, chain, after, owner, claim, waiting)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}
