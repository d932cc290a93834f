-- The user of the lookup API: it reads what answers are made from, and nothing else.

DO $$
DECLARE
    is_new boolean := to_regrole('voucher_reader') IS NULL;
BEGIN
    IF is_new THEN
        BEGIN
            CREATE ROLE voucher_reader LOGIN;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE insufficient_privilege USING MESSAGE = format(
                'the role voucher_reader is absent and %s may not create it: '
                'an administrator has to run CREATE ROLE voucher_reader LOGIN first', current_user);
        END;
    END IF;

    -- What an administrator made may be the administrator's alone to change.
    BEGIN
        ALTER ROLE voucher_reader SET default_transaction_read_only = on;
    EXCEPTION WHEN insufficient_privilege THEN
        NULL;
    END;

    -- On RDS whoever is in rds_iam signs in with IAM and with nothing else. A role that was there before may have
    -- a password, so it joins only where the refresh function's own user signs in like that.
    IF to_regrole('rds_iam') IS NOT NULL THEN
        BEGIN
            IF is_new OR pg_has_role('rds_iam', 'MEMBER') THEN
                GRANT rds_iam TO voucher_reader;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
    END IF;
END
$$;

REVOKE ALL ON SCHEMA voucher_customer FROM PUBLIC, voucher_reader;
REVOKE ALL ON ALL TABLES IN SCHEMA voucher_customer FROM PUBLIC, voucher_reader;
GRANT USAGE ON SCHEMA voucher_customer TO voucher_reader;
GRANT SELECT ON
    voucher_customer.customer_segments, voucher_customer.voucher_segments,
    voucher_customer.publication, voucher_customer.refreshes
TO voucher_reader;
