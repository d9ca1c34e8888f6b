SELECT jobs.id, task, state, attempt, interruptions, created_at, run_at, started_at, finished_at, failure, reason, progress,
    waiting, cancel_requested, result, watched.value ->> 1,
    (
        SELECT json_group_array(json_array(total_lines, lines)) FROM logs
        WHERE logs.job = jobs.id AND total_lines > (watched.value ->> 1)
    )
FROM json_each(?) AS watched CROSS JOIN jobs ON jobs.id = unhex(watched.value ->> 0)
