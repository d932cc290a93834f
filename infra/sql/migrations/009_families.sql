-- Families and their dimensions are data, and a ledger entry knows by which dimensions it is counted.

CREATE TABLE voucher_customer.segment_families (
    segment_name text NOT NULL,
    dimension    text NOT NULL
);
COMMENT ON TABLE voucher_customer.segment_families IS
    'The published segment families with their dimensions, loaded from infra/sql/customer_segments.sql at every refresh.';
-- As they were, so that the API answers until the next refresh.
INSERT INTO voucher_customer.segment_families (segment_name, dimension) VALUES
    ('frequent_segment', 'total_orders'),
    ('recency_segment',  'days_since(last_order_ts)');
GRANT SELECT ON voucher_customer.segment_families TO voucher_reader;

-- In the order in which the report reads: neither can wait for the other.
ALTER TABLE voucher_customer.refreshes
    ADD COLUMN families_waiting jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN families_partial jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN voucher_customer.refreshes.families_waiting IS
    'Families that are not published yet, and how many counted objects lack their dimension.';
COMMENT ON COLUMN voucher_customer.refreshes.families_partial IS
    'Published families whose dimension some counted objects lack because they are refused, and how many.';

ALTER TABLE voucher_customer.usage_totals DROP CONSTRAINT usage_totals_dimension_check;
UPDATE voucher_customer.usage_totals SET dimension = 'days_since(last_order_ts)' WHERE dimension = 'last_order_day';

ALTER TABLE voucher_customer.ledger
    ADD COLUMN dimensions text[] NOT NULL DEFAULT '{}',
    ADD COLUMN refused_dimensions text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN voucher_customer.ledger.dimensions IS
    'The dimensions that the usage is counted by. Where one of today''s is missing, the object is counted again.';
COMMENT ON COLUMN voucher_customer.ledger.refused_dimensions IS
    'The dimensions by which refused_etag could not be counted; it is tried again when one of them is needed no more.';
UPDATE voucher_customer.ledger SET
    dimensions = CASE WHEN etag IS NULL THEN '{}' ELSE ARRAY['days_since(last_order_ts)', 'total_orders'] END,
    usage_dimension = array_replace(usage_dimension, 'last_order_day', 'days_since(last_order_ts)');
-- Entries are many, sets of dimensions few: which sets there are is found without reading every entry.
CREATE INDEX ledger_dimensions ON voucher_customer.ledger (dimensions) WHERE etag IS NOT NULL;
CREATE INDEX ledger_refused ON voucher_customer.ledger (key) WHERE refused_etag IS NOT NULL;

ALTER TABLE voucher_customer.partial_counts
    ADD COLUMN dimensions text[] NOT NULL DEFAULT ARRAY['days_since(last_order_ts)', 'total_orders'],
    DROP CONSTRAINT partial_counts_pkey,
    ADD PRIMARY KEY (key, etag, dimensions, parts, part);
ALTER TABLE voucher_customer.partial_counts ALTER COLUMN dimensions DROP DEFAULT;
UPDATE voucher_customer.partial_counts SET
    usage_dimension = array_replace(usage_dimension, 'last_order_day', 'days_since(last_order_ts)');
