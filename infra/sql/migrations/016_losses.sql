-- Which objects lost rows in a run; and comments in the words of the glossary.

ALTER TABLE voucher_customer.refreshes ADD COLUMN losses json NOT NULL DEFAULT '{}';
COMMENT ON COLUMN voucher_customer.refreshes.losses IS
    'The five objects that lost most rows, and how many each; rows_lost is the sum over all objects.';

COMMENT ON TABLE voucher_customer.customer_segments IS
    'The segment families and their ranges, loaded from infra/sql/customer_segments.sql at every refresh.';
COMMENT ON TABLE voucher_customer.ledger IS
    'One row per object that was ever counted or refused, with the usage that it adds to the totals.';
COMMENT ON TABLE voucher_customer.rankings IS
    'The most used amounts of each segment as last published as of a day, and which of them that publication changed.';
COMMENT ON TABLE voucher_customer.partial_counts IS
    'The counts of parts of large objects until all parts are counted; deleted when the entry of the key changes.';
COMMENT ON TABLE voucher_customer.write_lock IS
    'Empty. A transaction that writes ledger and totals, or publishes, locks this table first.';
COMMENT ON TABLE voucher_customer.changed_objects IS
    'Objects whose counts changed since the last publication, as it counted them; the next publication deletes them.';
COMMENT ON TABLE voucher_customer.segment_unknowns IS
    'The vouchers of each published segment, and how many of them have an unknown amount or number; null while objects that an earlier release counted wait to be counted again.';
COMMENT ON COLUMN voucher_customer.ledger.revision IS
    'Grows with every change of the row; a run that read an earlier revision reads the object again.';
COMMENT ON COLUMN voucher_customer.ledger.refused_etag IS
    'The refused version, if its content is why; null if trying it again may help.';
COMMENT ON COLUMN voucher_customer.ledger.refused_dimensions IS
    'The dimensions by which refused_etag cannot be counted; it is tried again once one of them is no longer needed.';
COMMENT ON COLUMN voucher_customer.ledger.refused_since IS
    'Since when the object is refused; means nothing if error is null.';
COMMENT ON COLUMN voucher_customer.ledger.values_defaulted IS
    'How many nulls and blanks of the counted rows count as 0, by column; null if an earlier release counted them.';
COMMENT ON COLUMN voucher_customer.ledger.dimensions IS
    'The dimensions that the usage is counted by; the object is counted again if a needed one is missing.';
COMMENT ON COLUMN voucher_customer.publication.unknown_amount_is_used IS
    'Whether unknown amounts are published as the amount 0; otherwise they are not in the published table.';
COMMENT ON COLUMN voucher_customer.publication.unknown_number_has_segment IS
    'Whether unknown numbers count as 0, and so are in a segment; otherwise they are in none.';
COMMENT ON COLUMN voucher_customer.refreshes.accepted IS
    'Objects that were counted though most of their rows are rejected, because a person accepted them.';
COMMENT ON COLUMN voucher_customer.refreshes.countries_shrunk IS
    'Countries that lost more than MaxLostShare of their records since the previous publication, and the lost share.';
