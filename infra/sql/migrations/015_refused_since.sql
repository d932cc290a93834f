-- Since when an object cannot be counted, however often it was tried again.

ALTER TABLE voucher_customer.ledger ADD COLUMN refused_since timestamptz;
COMMENT ON COLUMN voucher_customer.ledger.refused_since IS
    'When the first of the attempts failed that led to the error, where there is one.';
UPDATE voucher_customer.ledger SET refused_since = changed_at WHERE error IS NOT NULL;
