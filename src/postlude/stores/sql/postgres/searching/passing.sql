FROM (
    SELECT id, namespace FROM {schema}.jobs WHERE id > :above AND id < :below ORDER BY id DIRECTION LIMIT :passed
) AS near WHERE namespace = :namespace
