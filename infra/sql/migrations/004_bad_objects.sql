-- A version that cannot be counted fails once, and is no news to the daily run after that.

ALTER TABLE voucher_customer.ledger ADD COLUMN failed_etag text;
COMMENT ON COLUMN voucher_customer.ledger.failed_etag IS
    'The version that error is about, where the reason lies in what it holds; null when trying again may help.';

ALTER TABLE voucher_customer.refreshes ADD COLUMN objects_bad integer NOT NULL DEFAULT 0;
