DELETE FROM {schema}.statistics WHERE namespace = $1 AND step = $2 AND moment < $3
