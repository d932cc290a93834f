-- What is too much for one run is counted by many at once, a large object in parts.

CREATE TABLE voucher_customer.ledger_parts (
    key                  text NOT NULL,
    etag                 text NOT NULL,
    parts                integer NOT NULL,
    part                 integer NOT NULL,
    rows_read            bigint NOT NULL,
    rows_counted         bigint NOT NULL,
    rows_rejected        jsonb NOT NULL,
    values_filled        jsonb NOT NULL,
    usage_country_code   text[] NOT NULL,
    usage_measure        text[] NOT NULL,
    usage_value          bigint[] NOT NULL,
    usage_voucher_amount bigint[] NOT NULL,
    usage_count          bigint[] NOT NULL,
    counted_at           timestamptz NOT NULL,
    PRIMARY KEY (key, etag, parts, part)
);
COMMENT ON TABLE voucher_customer.ledger_parts IS
    'Parts of objects whose other parts are still to be counted; they go when the ledger''s row of the key changes.';

ALTER TABLE voucher_customer.refreshes ADD COLUMN backlog_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE voucher_customer.refreshes DROP CONSTRAINT refreshes_trigger_check;
ALTER TABLE voucher_customer.refreshes ADD CONSTRAINT refreshes_trigger_check
    CHECK (trigger IN ('object_created', 'object_deleted', 'daily', 'unfinished', 'backlog', 'manual', 'backfill'));

-- Every object changes many of its rows, and only their counts: with room on the page, no index has to follow.
ALTER TABLE voucher_customer.usage_totals SET (fillfactor = 50);

CREATE TABLE voucher_customer.turns ();
COMMENT ON TABLE voucher_customer.turns IS
    'Holds nothing: whoever writes ledger and totals, or publishes, locks it first.';
