UPDATE jobs SET partition = '' WHERE seq = ?
