FROM jobs INDEXED BY jobs_of_chain WHERE chain = :chain
