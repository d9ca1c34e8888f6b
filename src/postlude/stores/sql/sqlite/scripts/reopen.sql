DROP TRIGGER IF EXISTS held_jobs;
DROP TRIGGER IF EXISTS shut_jobs_insert;
DROP TRIGGER IF EXISTS shut_jobs_update;
DROP TRIGGER IF EXISTS shut_jobs_delete;
DROP TRIGGER IF EXISTS shut_pauses_insert;
DROP TRIGGER IF EXISTS shut_pauses_delete;
DROP TRIGGER IF EXISTS shut_starts_insert;
DROP TRIGGER IF EXISTS shut_starts_delete;
DROP TRIGGER IF EXISTS shut_schedules_insert;
DROP TRIGGER IF EXISTS shut_schedules_update;
DROP TRIGGER IF EXISTS shut_schedules_delete;
DROP TRIGGER IF EXISTS shut_aliases_insert;
DROP TRIGGER IF EXISTS shut_outboxes_insert;
DELETE FROM pauses WHERE kind = 'store'
