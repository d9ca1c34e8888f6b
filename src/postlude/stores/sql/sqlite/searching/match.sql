(:states IS NULL OR instr(:states, ' ' || state || ' ') > 0)
    AND (:task IS NULL OR task = :task) AND (:queue IS NULL OR queue = :queue) AND (:key IS NULL OR key = :key)
    AND (:since IS NULL OR created_at >= :since) AND (:until IS NULL OR created_at < :until)
    AND (:ended_since IS NULL OR finished_at >= :ended_since)
    AND (:text IS NULL OR arguments LIKE :in_json ESCAPE '\' OR failure LIKE :in_ascii ESCAPE '\'
         OR reason LIKE :text ESCAPE '\')
