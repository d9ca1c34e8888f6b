SELECT jobs.id, task, state, attempt, interruptions, created_at, run_at, started_at, finished_at, failure, reason, progress,
    waiting, cancel_requested, result, watched.seen,
    (
        SELECT json_agg(json_build_array(total_lines, lines)) FROM {schema}.logs
        WHERE logs.job = jobs.id AND total_lines > watched.seen
    ) AS lines
FROM unnest($1::uuid[], $2::integer[]) AS watched (id, seen) JOIN {schema}.jobs ON jobs.id = watched.id
