-- The tables of the first release.

CREATE TABLE voucher_customer.customer_segments (
    segment_name text NOT NULL,
    segment_type text NOT NULL,
    min_range    integer NOT NULL,
    max_range    integer NOT NULL
);
COMMENT ON TABLE voucher_customer.customer_segments IS
    'The segment rules, loaded from infra/sql/customer_segments.sql at every refresh.';

CREATE TABLE voucher_customer.voucher_segments (
    index          integer NOT NULL,
    min_range      integer NOT NULL,
    max_range      integer NOT NULL,
    segment_name   text NOT NULL,
    voucher_amount bigint NOT NULL,
    count          bigint NOT NULL,
    country_code   text NOT NULL,
    segment_type   text NOT NULL,
    PRIMARY KEY (country_code, segment_name, index)
);
COMMENT ON TABLE voucher_customer.voucher_segments IS
    'The published table: how often each voucher amount was used in each segment.';

CREATE TABLE voucher_customer.ledger (
    key                  text PRIMARY KEY,
    revision             bigint NOT NULL,
    etag                 text,
    size                 bigint,
    sequencer            text,
    rows_read            bigint NOT NULL DEFAULT 0,
    rows_counted         bigint NOT NULL DEFAULT 0,
    rows_rejected        jsonb NOT NULL DEFAULT '{}',
    usage_country_code   text[] NOT NULL DEFAULT '{}',
    usage_measure        text[] NOT NULL DEFAULT '{}',
    usage_value          bigint[] NOT NULL DEFAULT '{}',
    usage_voucher_amount bigint[] NOT NULL DEFAULT '{}',
    usage_count          bigint[] NOT NULL DEFAULT '{}',
    error                text,
    changed_at           timestamptz NOT NULL
);
COMMENT ON TABLE voucher_customer.ledger IS
    'One row per object that was ever counted or failed, with the usage that it adds to the totals.';
COMMENT ON COLUMN voucher_customer.ledger.revision IS
    'Grows with every change of the row: whoever read the object before another changed the row has to look again.';
COMMENT ON COLUMN voucher_customer.ledger.etag IS
    'The version that is counted; null when none is (deleted, or never readable).';
COMMENT ON COLUMN voucher_customer.ledger.error IS
    'Why the object as it is now cannot be counted; what was counted of it before stays.';

CREATE TABLE voucher_customer.usage_totals (
    country_code   text NOT NULL,
    measure        text NOT NULL CHECK (measure IN ('total_orders', 'last_order_day')),
    value          bigint NOT NULL,
    voucher_amount bigint NOT NULL,
    count          bigint NOT NULL CHECK (count >= 0),
    PRIMARY KEY (country_code, measure, value, voucher_amount)
);
COMMENT ON TABLE voucher_customer.usage_totals IS
    'The sum of the usage in the ledger, changed in the same transaction as the ledger.';

CREATE TABLE voucher_customer.refreshes (
    refresh_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trigger            text NOT NULL CHECK (trigger IN ('object_created', 'object_deleted', 'daily', 'manual')),
    as_of              date NOT NULL,
    countries          text[] NOT NULL DEFAULT '{}',
    started_at         timestamptz NOT NULL,
    published_at       timestamptz,
    took_ms            bigint,
    objects_counted    integer NOT NULL DEFAULT 0,
    objects_skipped    integer NOT NULL DEFAULT 0,
    objects_removed    integer NOT NULL DEFAULT 0,
    objects_failed     integer NOT NULL DEFAULT 0,
    rows_read          bigint NOT NULL DEFAULT 0,
    rows_counted       bigint NOT NULL DEFAULT 0,
    rows_rejected      jsonb NOT NULL DEFAULT '{}',
    rows_published     integer,
    rows_in_no_segment jsonb NOT NULL DEFAULT '{}',
    outcome            text NOT NULL CHECK (outcome IN ('running', 'published', 'failed')),
    error              text
);
COMMENT ON TABLE voucher_customer.refreshes IS
    'One row per run. One that failed may still have published: then published_at is set and error says what else went wrong.';

CREATE TABLE voucher_customer.publication (
    refresh_id bigint NOT NULL REFERENCES voucher_customer.refreshes,
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
COMMENT ON TABLE voucher_customer.publication IS
    'The refresh that made the published table as it is now, written in the same transaction.';
