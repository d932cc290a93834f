-- The segment rules, loaded at every refresh. min_range and max_range are both included.
-- recency_segment is in days since the last order, frequent_segment in orders.
-- Ranges of a family may leave gaps (a customer in a gap is in no segment) but must not overlap.
-- segment_type is the source system's label and takes no part in the counting.

DELETE FROM voucher_customer.customer_segments;

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
