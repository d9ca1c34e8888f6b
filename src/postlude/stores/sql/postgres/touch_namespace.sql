UPDATE {schema}.namespaces SET name = name WHERE id = $1
