-- The segment families and their ranges. They are deployed with the refresh function, which loads them at every
-- refresh; docs/segments.md says how to change them.
--
-- A family divides a dimension into ranges. There are three kinds of dimensions:
--     total_orders                               a whole number of the voucher record
--     days_since(last_order_ts)                  days from a date of the record to the as-of day
--     days_between(last_order_ts, timestamp)     days from one date of the record to another
-- Both ends belong to a range. Ranges of a family may leave gaps (a customer in a gap is in no segment) but must not
-- overlap. segment_type is the source system's label and does not affect the counts.

DELETE FROM voucher_customer.segment_families;
DELETE FROM voucher_customer.customer_segments;

INSERT INTO voucher_customer.segment_families (segment_name, dimension) VALUES
    ('frequent_segment', 'total_orders'),
    ('recency_segment',  'days_since(last_order_ts)');

INSERT INTO voucher_customer.customer_segments (segment_name, segment_type, min_range, max_range) VALUES
    ('frequent_segment', '0-4',     0,   4),
    ('frequent_segment', '5-13',    5,   13),
    ('frequent_segment', '13-37',   14,  37),
    ('frequent_segment', '37+',     38,  99999999),
    ('recency_segment',  '30-60',   30,  60),
    ('recency_segment',  '60-90',   61,  90),
    ('recency_segment',  '90-120',  91,  120),
    ('recency_segment',  '120-180', 121, 179),
    ('recency_segment',  '180+',    180, 99999999);
