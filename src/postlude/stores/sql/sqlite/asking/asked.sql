SELECT job FROM questions JOIN jobs ON jobs.id = questions.job
WHERE jobs.owner = ? AND jobs.state IN ('staged', 'running')
