-- An object of which most rows are rejected is refused, unless a person accepts it; what is lost is told.

-- In the order in which the report reads: neither can wait for the other.
ALTER TABLE voucher_customer.refreshes
    ADD COLUMN rows_lost        bigint NOT NULL DEFAULT 0,
    ADD COLUMN accepted         text[] NOT NULL DEFAULT '{}',
    ADD COLUMN countries_shrunk jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN voucher_customer.refreshes.rows_lost IS
    'Rows that were counted before and are not any more: of deleted objects, and of overwritten ones that have fewer.';
COMMENT ON COLUMN voucher_customer.refreshes.accepted IS
    'Objects that were counted, though most of their rows are rejected, because a person said so.';
COMMENT ON COLUMN voucher_customer.refreshes.countries_shrunk IS
    'Countries that lost more than MaxLostShare of their records since the publication before, and the share lost.';

ALTER TABLE voucher_customer.ledger
    ADD COLUMN accepted_etag text,
    ADD COLUMN rows_lost     bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN voucher_customer.ledger.accepted_etag IS
    'The version that a person accepted, however many of its rows are rejected.';
COMMENT ON COLUMN voucher_customer.ledger.rows_lost IS
    'How many rows fewer are counted of the object than before its latest change.';

CREATE TABLE voucher_customer.country_records (
    country_code text PRIMARY KEY,
    records      bigint NOT NULL
);
COMMENT ON TABLE voucher_customer.country_records IS
    'How many records each country had when the published table was made.';
