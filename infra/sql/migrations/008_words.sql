-- One word for each thing, in tables as in the code and the documents.

-- In the order in which the report reads: neither can wait for the other.
ALTER TABLE voucher_customer.refreshes RENAME COLUMN objects_failed TO objects_refused;
ALTER TABLE voucher_customer.refreshes RENAME COLUMN objects_bad TO objects_refused_before;
ALTER TABLE voucher_customer.refreshes RENAME COLUMN objects_left TO objects_deferred;

ALTER TABLE voucher_customer.winners RENAME TO rankings;
ALTER TABLE voucher_customer.rankings RENAME COLUMN winners TO rankings;
ALTER INDEX voucher_customer.winners_pkey RENAME TO rankings_pkey;
ALTER TABLE voucher_customer.rankings RENAME CONSTRAINT winners_refresh_id_fkey TO rankings_refresh_id_fkey;

ALTER TABLE voucher_customer.usage_totals RENAME COLUMN measure TO dimension;
ALTER TABLE voucher_customer.usage_totals
    RENAME CONSTRAINT usage_totals_measure_check TO usage_totals_dimension_check;

ALTER TABLE voucher_customer.ledger RENAME COLUMN usage_measure TO usage_dimension;
ALTER TABLE voucher_customer.ledger RENAME COLUMN values_filled TO values_defaulted;
ALTER TABLE voucher_customer.ledger RENAME COLUMN failed_etag TO refused_etag;
COMMENT ON COLUMN voucher_customer.ledger.refused_etag IS
    'The version that error is about, where the reason lies in what it holds; null when trying again may help.';
COMMENT ON COLUMN voucher_customer.ledger.values_defaulted IS
    'How many nulls and blanks of the rows counted stand as 0, by column; null for what was counted before they were.';

ALTER TABLE voucher_customer.ledger_parts RENAME TO partial_counts;
ALTER TABLE voucher_customer.partial_counts RENAME COLUMN usage_measure TO usage_dimension;
ALTER TABLE voucher_customer.partial_counts RENAME COLUMN values_filled TO values_defaulted;
ALTER INDEX voucher_customer.ledger_parts_pkey RENAME TO partial_counts_pkey;

ALTER TABLE voucher_customer.turns RENAME TO write_lock;
