-- Run by the database's user at each migration, before the migrations: the roles of the functions, and who owns the
-- schema. voucher_writer is the refresh function's and owns it; voucher_reader is the lookup API's.

DO $$
DECLARE
    role_name text;
    may_connect integer := current_setting('max_connections');
    relation regclass;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['voucher_writer', 'voucher_reader'] LOOP
        IF to_regrole(role_name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', role_name);
            EXCEPTION WHEN insufficient_privilege THEN
                RAISE insufficient_privilege USING MESSAGE = format(
                    'the role %s is absent and %s may not create it: '
                    'an administrator has to run CREATE ROLE %s LOGIN first', role_name, current_user, role_name);
            END;
        END IF;

        -- On RDS a member of rds_iam can sign in with IAM only, so the roles join where this user
        -- signs in like that.
        IF to_regrole('rds_iam') IS NOT NULL THEN
            IF pg_has_role('rds_iam', 'MEMBER') AND NOT pg_has_role(role_name, 'rds_iam', 'MEMBER') THEN
                BEGIN
                    EXECUTE format('GRANT rds_iam TO %I', role_name);
                EXCEPTION WHEN insufficient_privilege THEN
                    RAISE insufficient_privilege USING MESSAGE = format(
                        '%1$s may not let %2$s sign in with IAM: '
                        'an administrator has to run GRANT rds_iam TO %2$s first', current_user, role_name);
                END;
            END IF;
        END IF;
    END LOOP;

    -- However many processes start, neither function can shut the other out, nor a person. What an administrator made
    -- may be the administrator's alone to change.
    BEGIN
        EXECUTE format('ALTER ROLE voucher_reader CONNECTION LIMIT %s', may_connect * 6 / 10);
        EXECUTE format('ALTER ROLE voucher_writer CONNECTION LIMIT %s', may_connect * 3 / 10);
        ALTER ROLE voucher_reader SET default_transaction_read_only = on;
    EXCEPTION WHEN insufficient_privilege THEN
        NULL;
    END;

    -- Since PostgreSQL 16 the creator of a role may join it, but is not a member yet.
    IF current_user <> 'voucher_writer' AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN
            GRANT voucher_writer TO CURRENT_USER;
        EXCEPTION WHEN insufficient_privilege THEN
            NULL; -- an administrator did it, or is asked to below
        END;
    END IF;
    BEGIN
        SET LOCAL ROLE voucher_writer;
        RESET ROLE;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING MESSAGE = format(
            '%1$s is not a member of voucher_writer: an administrator has to run GRANT voucher_writer TO %1$s first',
            current_user);
    END;

    IF to_regnamespace('voucher_customer') IS NULL THEN
        CREATE SCHEMA voucher_customer AUTHORIZATION voucher_writer;
        RETURN;
    END IF;
    -- In releases before this role it belonged to the database's user.
    IF (SELECT nspowner FROM pg_namespace WHERE nspname = 'voucher_customer') <> to_regrole('voucher_writer') THEN
        ALTER SCHEMA voucher_customer OWNER TO voucher_writer;
    END IF;
    FOR relation IN
        SELECT oid FROM pg_class
        WHERE relnamespace = to_regnamespace('voucher_customer') AND relkind IN ('r', 'p', 'v', 'm')
            AND relowner <> to_regrole('voucher_writer')
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO voucher_writer', relation);
    END LOOP;
END
$$;
