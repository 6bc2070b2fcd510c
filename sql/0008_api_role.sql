-- The role of the api: it reads what is stored and changes sites, and cannot write checks
-- (docs/database.md).

-- A role belongs to the whole cluster: another database's migration may have made it, and whoever
-- runs this one may not be allowed to. Then this is called again when somebody else has made it.
CREATE FUNCTION api_role_grant() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    granted record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sitewatch_api') THEN
        BEGIN
            CREATE ROLE sitewatch_api NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE WARNING 'the api has no role of its own, as % may not make one: CREATE ROLE sitewatch_api NOLOGIN, then SELECT api_role_grant()', current_user;
                RETURN;
        END;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO sitewatch_api', current_schema());
    FOR granted IN
        SELECT * FROM (VALUES
            ('websites', 'SELECT, INSERT, UPDATE'),
            ('site_outbox', 'SELECT, INSERT, UPDATE'),
            ('api_tokens', 'SELECT, INSERT, UPDATE'),
            ('api_idempotency', 'SELECT, INSERT, UPDATE, DELETE'),
            ('locations', 'SELECT'),
            ('checks', 'SELECT'),
            ('monitoring_data', 'SELECT'),
            ('site_state', 'SELECT'),
            ('site_locations', 'SELECT'),
            ('site_status', 'SELECT'),
            ('incidents', 'SELECT'),
            ('rollups_1h', 'SELECT'),
            ('rollups_1d', 'SELECT'),
            ('rollup_marks', 'SELECT'),
            ('rollup_stale_hours', 'SELECT'),
            ('rollup_stale_days', 'SELECT')) AS t (relation, rights)
    LOOP
        EXECUTE format('GRANT %s ON %I TO sitewatch_api', granted.rights, granted.relation);
    END LOOP;
    GRANT USAGE ON SEQUENCE site_outbox_id TO sitewatch_api;
    -- What a later migration makes may be read; the right to write it comes with that migration.
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES TO sitewatch_api',
        current_schema());
END
$$;

COMMENT ON FUNCTION api_role_grant() IS 'makes the role sitewatch_api and gives it its rights';

SELECT api_role_grant();
