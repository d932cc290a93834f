-- What the report tells and nothing held until now.

ALTER TABLE voucher_customer.ledger ADD COLUMN values_filled jsonb;
COMMENT ON COLUMN voucher_customer.ledger.values_filled IS
    'How many nulls and blanks of the rows counted stand as 0, by column; null for what was counted before they were.';

-- A table of its own: the lookup API reads refreshes, and has no use for these.
CREATE TABLE voucher_customer.winners (
    as_of      date PRIMARY KEY,
    refresh_id bigint NOT NULL REFERENCES voucher_customer.refreshes,
    -- Not jsonb: they are only ever read whole.
    winners    json NOT NULL,
    changes    json NOT NULL
);
COMMENT ON TABLE voucher_customer.winners IS
    'The most used amounts of each segment as they were last published as of a day, and which of them that publication changed.';
