-- An amount or a number that is not there is no 0: usage has -1 for it, in what is counted from now on. An entry that
-- lacks 'unknown apart' among its dimensions is counted again by the next daily or manual run.

COMMENT ON COLUMN voucher_customer.usage_totals.voucher_amount IS 'The amount; -1 where it is unknown.';
COMMENT ON COLUMN voucher_customer.usage_totals.value IS
    'The number, the day since 1970 or the days between two dates; of a number -1 where it is unknown.';

CREATE TABLE voucher_customer.segment_unknowns (
    country_code    text NOT NULL,
    segment_name    text NOT NULL,
    segment_type    text NOT NULL,
    vouchers        bigint NOT NULL,
    unknown_amounts bigint,
    unknown_numbers bigint,
    PRIMARY KEY (country_code, segment_name, segment_type)
);
COMMENT ON TABLE voucher_customer.segment_unknowns IS
    'Of each published segment all its vouchers, and how many of them have an unknown amount, or an unknown number; null until all objects are counted again that were counted before these were told apart.';
GRANT SELECT ON voucher_customer.segment_unknowns TO voucher_reader;

ALTER TABLE voucher_customer.publication
    ADD COLUMN unknown_amount_is_used     boolean NOT NULL DEFAULT true,
    ADD COLUMN unknown_number_has_segment boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN voucher_customer.publication.unknown_amount_is_used IS
    'Whether unknown amounts are published as the amount 0; else they are not in the published table.';
COMMENT ON COLUMN voucher_customer.publication.unknown_number_has_segment IS
    'Whether unknown numbers are 0, and so in a segment; else they are in none.';
