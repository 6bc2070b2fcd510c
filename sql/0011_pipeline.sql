-- What the api tells of the pipeline, and of messages that are no events (docs/dashboard.md).

CREATE FUNCTION bytes_text(bytes bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN convert_from(bytes, 'UTF8');
EXCEPTION
    WHEN character_not_in_repertoire OR untranslatable_character THEN
        RETURN NULL;
END
$$;

COMMENT ON FUNCTION bytes_text(bytea) IS 'null: they are not UTF-8, or hold a NUL';

-- The rights that the tables before had, and then those of what is told of here.
ALTER FUNCTION api_role_grant() RENAME TO api_role_grant_sites;

CREATE FUNCTION api_role_grant() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM api_role_grant_sites();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sitewatch_api') THEN
        GRANT SELECT ON dead_letters, kafka_offsets, site_changes TO sitewatch_api;
    END IF;
END
$$;

COMMENT ON FUNCTION api_role_grant() IS 'makes the role sitewatch_api and gives it its rights';
COMMENT ON FUNCTION api_role_grant_sites() IS 'a part of api_role_grant';

SELECT api_role_grant();
