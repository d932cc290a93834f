-- Why a most used amount changed: what came and went since the publication before, and what that changed.

CREATE TABLE voucher_customer.changed_objects (
    key                  text PRIMARY KEY,
    etag                 text,
    usage_country_code   text[] NOT NULL,
    usage_dimension      text[] NOT NULL,
    usage_value          bigint[] NOT NULL,
    usage_voucher_amount bigint[] NOT NULL,
    usage_count          bigint[] NOT NULL
);
COMMENT ON TABLE voucher_customer.changed_objects IS
    'Objects whose counts changed since the last publication, with the version and the usage that it was made from; they go with the next one.';

CREATE TABLE voucher_customer.ranking_changes (
    refresh_id     bigint NOT NULL REFERENCES voucher_customer.refreshes,
    as_of          date NOT NULL,
    country_code   text NOT NULL,
    segment_name   text NOT NULL,
    segment_type   text NOT NULL,
    before         bigint[] NOT NULL,
    after          bigint[] NOT NULL,
    causes         text[] NOT NULL,
    objects        json NOT NULL,
    PRIMARY KEY (country_code, segment_name, segment_type, refresh_id)
);
COMMENT ON TABLE voucher_customer.ranking_changes IS
    'The segments whose most used amounts a publication changed, why, and the objects that contributed most.';
GRANT SELECT ON voucher_customer.ranking_changes TO voucher_reader;

ALTER TABLE voucher_customer.refreshes ADD COLUMN causes jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN voucher_customer.refreshes.causes IS
    'In how many segments the most used amounts changed, by cause.';
