-- A run by hand may be for a part of the dataset only.

ALTER TABLE voucher_customer.refreshes DROP CONSTRAINT refreshes_trigger_check;
ALTER TABLE voucher_customer.refreshes ADD CONSTRAINT refreshes_trigger_check
    CHECK (trigger IN ('object_created', 'object_deleted', 'daily', 'manual', 'backfill'));
