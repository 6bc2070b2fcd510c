-- Changes of sites on their way to the topic of the sites (docs/sites-topic.md).

CREATE SEQUENCE site_outbox_id;

-- One row a site at the most: what is sent is the site as it is then.
CREATE TABLE site_outbox (
    website_id bigint PRIMARY KEY,
    outbox_id  bigint NOT NULL DEFAULT nextval('site_outbox_id'),
    queued_at  timestamptz NOT NULL DEFAULT now()
);

ALTER SEQUENCE site_outbox_id OWNED BY site_outbox.outbox_id;

CREATE INDEX site_outbox_order ON site_outbox (outbox_id);

-- In the transaction of the change, whoever makes it. A site that is known from events alone is not
-- ours to hand out.
CREATE FUNCTION site_outbox_add(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO site_outbox (website_id) SELECT id FROM unnest(ids) id ORDER BY id
        ON CONFLICT (website_id)
        DO UPDATE SET outbox_id = nextval('site_outbox_id'), queued_at = now();
    IF FOUND THEN
        NOTIFY site_outbox;
    END IF;
END
$$;

CREATE FUNCTION site_outbox_on_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM site_outbox_add(array(SELECT website_id FROM made WHERE source <> 'event'));
    RETURN NULL;
END
$$;

CREATE FUNCTION site_outbox_on_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM site_outbox_add(array(
        SELECT n.website_id FROM made n JOIN before b USING (website_id)
        WHERE n.source <> 'event' AND n.version <> b.version));
    RETURN NULL;
END
$$;

CREATE TRIGGER site_outbox_on_insert AFTER INSERT ON websites
    REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION site_outbox_on_insert();

CREATE TRIGGER site_outbox_on_update AFTER UPDATE ON websites
    REFERENCING NEW TABLE AS made OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION site_outbox_on_update();

-- What a producer is told of a site; null: it is deleted.
CREATE FUNCTION site_message(w websites) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN w.deleted_at IS NULL THEN
        (w.config || jsonb_build_object('schema', 1, 'id', w.website_id, 'version', w.version,
            'name', w.name, 'url', w.website_url, 'seconds', w.monitoring_interval,
            'enabled', w.enabled))::text END
$$;

SELECT site_outbox_add(array(SELECT website_id FROM websites WHERE source <> 'event'));
