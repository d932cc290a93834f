-- What lies under the prefix and is not part of the dataset is counted too, and the first of it named.

ALTER TABLE voucher_customer.refreshes ADD COLUMN objects_ignored bigint NOT NULL DEFAULT 0;
ALTER TABLE voucher_customer.refreshes ADD COLUMN ignored text[] NOT NULL DEFAULT '{}';
