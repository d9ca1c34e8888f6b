-- A report in which nothing is said yet: one of a release that never does has none.
INSERT OR IGNORE INTO workers (id, host, pid, started_at, report) VALUES (?, ?, ?, unixepoch('subsec'), '{}')
