INSERT INTO {schema}.aliases (id, job) SELECT moved.* FROM unnest($1::uuid[], $2::uuid[]) AS moved
