-- The lookup API answers since when an amount has been the most used one.

GRANT SELECT ON voucher_customer.rankings TO voucher_reader;
