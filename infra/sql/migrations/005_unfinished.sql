-- A run that stops before its time is over leaves objects to the next one, which its own result starts.

ALTER TABLE voucher_customer.refreshes ADD COLUMN objects_left integer NOT NULL DEFAULT 0;
ALTER TABLE voucher_customer.refreshes DROP CONSTRAINT refreshes_trigger_check;
ALTER TABLE voucher_customer.refreshes ADD CONSTRAINT refreshes_trigger_check
    CHECK (trigger IN ('object_created', 'object_deleted', 'daily', 'unfinished', 'manual', 'backfill'));
