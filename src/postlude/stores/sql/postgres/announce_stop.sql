UPDATE {schema}.workers SET stopping = true WHERE id = $1
