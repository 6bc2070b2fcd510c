-- What each site is over all its locations, kept so that sites can be chosen by it without looking
-- at every one (docs/database.md). The view site_status says what it is; this says the same.

-- A batch that hears of such a location takes the mark away, and by that says so in site_changes.
ALTER TABLE site_state ADD COLUMN stale boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN site_state.stale IS
    'site_standing counts it as stale; false: it may have become so since (see site_locations)';

CREATE TABLE site_standing (
    website_id bigint PRIMARY KEY,
    lapses_at  timestamptz NOT NULL DEFAULT '-infinity',
    status     text NOT NULL DEFAULT 'unknown'
);

CREATE INDEX site_standing_status ON site_standing (status);
CREATE INDEX site_standing_lapses ON site_standing (lapses_at);

COMMENT ON COLUMN site_standing.lapses_at IS
    'from then on it may be another, as the first of its locations may be stale';

-- One row, or none before the first turn.
CREATE TABLE site_standing_look (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    seen     pg_snapshot NOT NULL,
    taken_at timestamptz NOT NULL
);

COMMENT ON COLUMN site_standing_look.seen IS
    'changes that this snapshot sees are in site_standing; the sites of others are in doubt';

-- No plan knows that they are few, but by ROWS, which holds for a function that is not inlined: one
-- with a setting of its own.
CREATE FUNCTION site_standing_unseen() RETURNS TABLE (website_id bigint)
LANGUAGE sql STABLE ROWS 20 SET search_path FROM CURRENT AS $$
    SELECT c.website_id
    FROM site_standing_look l
        JOIN site_changes c ON c.xid >= pg_snapshot_xmin(l.seen)
            AND NOT pg_visible_in_snapshot(c.xid, l.seen)
$$;

COMMENT ON FUNCTION site_standing_unseen() IS
    'sites that were changed since the last turn; null: many, and which is not known';

-- Rows of site_changes are kept for an hour, and transactions have other numbers in a database that
-- was restored on another server.
CREATE FUNCTION site_standing_holds() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM site_standing_look
                   WHERE taken_at > now() - interval '5 minutes'
                     AND pg_snapshot_xmax(seen) <= pg_snapshot_xmax(pg_current_snapshot()))
       AND NOT EXISTS (SELECT FROM site_standing_unseen() WHERE website_id IS NULL)
$$;

COMMENT ON FUNCTION site_standing_holds() IS
    'false: any site may be in doubt; true: those of site_doubts are';

CREATE VIEW site_doubts AS
SELECT website_id FROM site_standing WHERE lapses_at <= now()
UNION
SELECT website_id FROM site_standing_unseen() WHERE website_id IS NOT NULL;

COMMENT ON VIEW site_doubts IS
    'sites of which site_standing may not say what site_status does, where site_standing_holds()';

-- Sites in doubt, and those that soon will be, are looked at anew: sites_max of them. How many
-- differed, or null while another transaction does it. Nobody else writes the two tables.
CREATE FUNCTION site_standing_turn(sites_max integer) RETURNS integer
LANGUAGE plpgsql SET jit = off AS $f$
DECLARE
    sees pg_snapshot;
    ids bigint[];
    updated integer;
    deleted integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1936290917, 8) THEN -- the program's locks; 8: their standing
        RETURN NULL;
    END IF;
    -- What it sees, each of the statements below sees too.
    sees := pg_current_snapshot();
    IF site_standing_holds() THEN
        INSERT INTO site_standing (website_id)
            SELECT DISTINCT website_id FROM site_standing_unseen() WHERE website_id IS NOT NULL
            ON CONFLICT (website_id) DO UPDATE SET lapses_at = '-infinity';
    ELSE
        UPDATE site_standing SET lapses_at = '-infinity' WHERE lapses_at > '-infinity';
        INSERT INTO site_standing (website_id)
            SELECT website_id FROM websites WHERE deleted_at IS NULL ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO site_standing_look (seen, taken_at) VALUES (sees, now())
        ON CONFLICT (one) DO UPDATE SET seen = excluded.seen, taken_at = excluded.taken_at;

    ids := ARRAY(SELECT website_id FROM site_standing WHERE lapses_at < now() + interval '30 seconds'
                 ORDER BY lapses_at LIMIT sites_max);
    DELETE FROM site_standing t
        WHERE website_id = ANY (ids) AND NOT EXISTS (
            SELECT FROM websites w WHERE w.website_id = t.website_id AND w.deleted_at IS NULL);
    GET DIAGNOSTICS deleted = ROW_COUNT;

    -- In the order of their keys, as batches lock them. What a batch has just heard is not marked:
    -- the lock waits for it, and the row is judged as it is then.
    WITH turned AS MATERIALIZED (
        SELECT s.website_id, s.location_id FROM site_state s JOIN websites w USING (website_id)
        WHERE s.website_id = ANY (ids) AND s.status <> 'unknown' AND s.stale
            <> coalesce(s.last_slot < now() - site_stale_after(w.monitoring_interval), true)
        ORDER BY s.website_id, s.location_id FOR UPDATE OF s
    )
    UPDATE site_state s SET stale = NOT s.stale
        FROM turned t WHERE s.website_id = t.website_id AND s.location_id = t.location_id;

    UPDATE site_standing t SET status = n.status, lapses_at = n.lapses_at
        FROM (SELECT v.website_id, v.status, coalesce(l.lapses_at, 'infinity') AS lapses_at
              FROM site_status v LEFT JOIN (
                  SELECT s.website_id,
                         min(s.last_slot + site_stale_after(w.monitoring_interval)) AS lapses_at
                  FROM site_state s JOIN websites w USING (website_id)
                  WHERE s.website_id = ANY (ids) AND s.status <> 'unknown' AND NOT s.stale
                  GROUP BY s.website_id) l USING (website_id)
              WHERE v.website_id = ANY (ids)) n
        WHERE t.website_id = n.website_id
          AND (t.status, t.lapses_at) IS DISTINCT FROM (n.status, n.lapses_at);
    GET DIAGNOSTICS updated = ROW_COUNT;
    RETURN updated + deleted;
END
$f$;

-- The mark is taken away with every check that does not say the same as the one before, and with
-- the first one that is heard again.
DROP TRIGGER site_changes_on_state ON site_state;

CREATE TRIGGER site_changes_on_state AFTER UPDATE OF status, stale ON site_state
    FOR EACH ROW WHEN (OLD.status <> NEW.status OR OLD.stale AND NOT NEW.stale)
    EXECUTE FUNCTION site_changes_on_state();

-- A location that is given up is deleted by hand.
CREATE FUNCTION site_changes_on_forgetting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM site_changes_add(array(SELECT DISTINCT website_id FROM forgotten), 'state');
    RETURN NULL;
END
$$;

CREATE TRIGGER site_changes_on_forgetting AFTER DELETE ON site_state
    REFERENCING OLD TABLE AS forgotten
    FOR EACH STATEMENT EXECUTE FUNCTION site_changes_on_forgetting();

-- As in 0011_pipeline.sql, with what is told of here.
CREATE OR REPLACE FUNCTION api_role_grant() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM api_role_grant_sites();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'sitewatch_api') THEN
        GRANT SELECT ON dead_letters, kafka_offsets, site_changes, site_standing, site_standing_look,
            site_doubts TO sitewatch_api;
    END IF;
END
$$;

SELECT api_role_grant();
