SELECT task, partition, at, id, until FROM starts WHERE until > ?
