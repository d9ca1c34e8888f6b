-- One statement for many claims: executing one for each would hand the interpreter over each time.
UPDATE jobs SET
    state = ?, finished_at = ended.column3, attempt = ended.column4, interruptions = ended.column5,
    started_at = ended.column6, result = ended.column7, failure = NULL, reason = NULL, alone = 0, owner = NULL,
    claim = NULL, arguments = KEPT_ARGUMENTS
FROM (VALUES {(?, ?, ?, ?, ?, ?, ?)}) AS ended
WHERE jobs.id = ended.column1 AND jobs.claim = ended.column2
