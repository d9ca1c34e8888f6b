SELECT job FROM {schema}.questions JOIN {schema}.jobs ON jobs.id = questions.job
WHERE jobs.owner = $1 AND jobs.state IN ('staged', 'running')
