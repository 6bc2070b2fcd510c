-- What the checks of each hour and each day came to, per site and location (docs/database.md).
--
-- Only the first final attempt of a slot counts. The times of responses are kept as a histogram
-- whose buckets grow by 13/12 each, so that a percentile is wrong by 4 % at the most, and that of
-- many hours comes from their sum: C. Masson, J. E. Rim, H. K. Lee, "DDSketch: a fast and
-- fully-mergeable quantile sketch with relative-error guarantees", PVLDB 12 (2019).
--
-- A batch leaves a mark of the hours that it touched, in its own transaction. A mark is only ever
-- inserted; whoever puts rollups together deletes the marks that it read. So a batch that commits
-- later leaves a mark that is still there, whatever was read meanwhile.

-- A tally counts few of many keys: {key, count, key, count, ...}, keys in ascending order.

CREATE FUNCTION tally_add(a integer[], b integer[]) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    result integer[] := '{}';
    i integer := 1;
    j integer := 1;
BEGIN
    LOOP
        IF a[i] IS NULL THEN
            RETURN result || b[j:];
        ELSIF b[j] IS NULL THEN
            RETURN result || a[i:];
        ELSIF a[i] < b[j] THEN
            result := result || a[i];
            result := result || a[i + 1];
            i := i + 2;
        ELSIF a[i] > b[j] THEN
            result := result || b[j];
            result := result || b[j + 1];
            j := j + 2;
        ELSE
            result := result || a[i];
            result := result || (a[i + 1] + b[j + 1]);
            i := i + 2;
            j := j + 2;
        END IF;
    END LOOP;
END
$$;

-- The tally of all that the tallies count.
CREATE AGGREGATE tally_sum(integer[]) (SFUNC = tally_add, STYPE = integer[], PARALLEL = SAFE);

-- The bucket of a time in microseconds, and the time that stands for a bucket: 4 % above its lower
-- bound and 4 % below its upper one.
CREATE FUNCTION histogram_bucket(us bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ceil(ln(greatest(us, 1)::double precision) / ln(13 / 12::double precision))::integer
$$;

CREATE FUNCTION histogram_us(bucket integer) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (24 / 25::double precision) * power(13 / 12::double precision, bucket)
$$;

-- Percentiles of a histogram, a tally of buckets, as percentile_disc() defines them. The shares
-- are 0 to 1 and in ascending order. Of an empty histogram: NULLs.
CREATE FUNCTION histogram_percentiles(histogram integer[], VARIADIC shares double precision[])
RETURNS double precision[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    total bigint := 0;
    seen bigint := 0;
    wanted bigint;
    i integer := 0;
    share double precision;
    result double precision[] := '{}';
BEGIN
    FOR n IN 2..coalesce(array_length(histogram, 1), 0) BY 2 LOOP
        total := total + histogram[n];
    END LOOP;
    FOREACH share IN ARRAY shares LOOP
        wanted := greatest(ceil(share * total), 1);
        WHILE seen < wanted LOOP -- seen is NULL, and this false, when there is no bucket
            i := i + 2;
            seen := seen + histogram[i];
        END LOOP;
        result := result || histogram_us(histogram[i - 1]);
    END LOOP;
    RETURN result;
END
$$;

CREATE FUNCTION hour_of(at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT date_bin('1 hour', at, 'epoch') $$;

-- Of UTC, as the partitions of checks are.
CREATE FUNCTION day_of(at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT date_bin('24 hours', at, 'epoch') $$;

CREATE TABLE rollups_1h (
    website_id      bigint NOT NULL,
    begins          timestamptz NOT NULL,
    response_sum_us bigint NOT NULL,
    response_min_us bigint,
    response_max_us bigint,
    location_id     integer NOT NULL,
    responses       integer NOT NULL,
    up              integer NOT NULL,
    degraded        integer NOT NULL,
    down            integer NOT NULL,
    unknown         integer NOT NULL,
    matched         integer NOT NULL,
    unmatched       integer NOT NULL,
    http_statuses   integer[] NOT NULL,
    histogram       integer[] NOT NULL,
    PRIMARY KEY (website_id, begins, location_id)
);

COMMENT ON COLUMN rollups_1h.responses IS
    'checks with a response; response_* and histogram are of these';
COMMENT ON COLUMN rollups_1h.matched IS 'checks whose pattern matched';
COMMENT ON COLUMN rollups_1h.http_statuses IS 'a tally: {200, 118, 503, 2}';
COMMENT ON COLUMN rollups_1h.histogram IS 'a tally of histogram_bucket(response_time_us)';

CREATE TABLE rollups_1d (LIKE rollups_1h INCLUDING ALL);

-- For their retention.
CREATE INDEX rollups_1h_begins ON rollups_1h (begins);
CREATE INDEX rollups_1d_begins ON rollups_1d (begins);

-- A row a batch; the arrays go together. There is no index: it holds what came since the last turn.
CREATE TABLE rollup_marks (
    website_ids  bigint[] NOT NULL,
    location_ids integer[] NOT NULL,
    hours        integer[] NOT NULL
);

COMMENT ON COLUMN rollup_marks.hours IS 'since 1970';

-- To compress them would cost a batch more than to write them.
ALTER TABLE rollup_marks
    ALTER website_ids SET STORAGE EXTERNAL,
    ALTER location_ids SET STORAGE EXTERNAL,
    ALTER hours SET STORAGE EXTERNAL;

-- Hours and days whose rollup is missing or stale. While an hour is here its day is here too.
CREATE TABLE rollup_stale_hours (
    website_id  bigint NOT NULL,
    begins      timestamptz NOT NULL,
    location_id integer NOT NULL,
    due         timestamptz NOT NULL,
    PRIMARY KEY (website_id, begins, location_id)
);

COMMENT ON COLUMN rollup_stale_hours.due IS 'when it is to be put together';

CREATE TABLE rollup_stale_days (LIKE rollup_stale_hours INCLUDING ALL);

CREATE INDEX rollup_stale_hours_due ON rollup_stale_hours (due, begins);
CREATE INDEX rollup_stale_days_due ON rollup_stale_days (due, begins);

-- What was stored before there were marks.
INSERT INTO rollup_stale_hours
    SELECT DISTINCT website_id, hour_of(slot), location_id, now() FROM checks WHERE final;
INSERT INTO rollup_stale_days
    SELECT DISTINCT website_id, day_of(begins), location_id, now() FROM rollup_stale_hours;

-- The rollups of sites (a location of NULL: of all) from one time to before another, from the rows
-- of checks, in pieces that are whole steps since 1970. No check takes more than a day: what says so
-- is cut, or a sum of such times could not be stored.
CREATE FUNCTION rollups_of_checks(websites bigint[], locations integer[], first timestamptz,
                                  past timestamptz, step interval)
RETURNS SETOF rollups_1h LANGUAGE plpgsql STABLE SET jit = off AS $f$
BEGIN
    -- EXECUTE plans for these very times, and so for the days that they lie in.
    RETURN QUERY EXECUTE $q$
WITH counted AS MATERIALIZED (
    SELECT c.*, date_bin($5, c.slot, 'epoch') AS begins
    FROM unnest($1, $2) AS k (website_id, location_id) CROSS JOIN LATERAL (
        SELECT DISTINCT ON (c.slot, c.location_id) c.website_id, c.slot, c.location_id, c.status,
               c.http_status, c.regex_matched,
               CASE WHEN c.http_status IS NOT NULL AND c.response_time_us IS NOT NULL
                    THEN least(c.response_time_us, 86400000000) END AS us
        FROM checks c
        WHERE c.website_id = k.website_id AND c.slot >= $3 AND c.slot < $4 AND c.final
          AND (k.location_id IS NULL OR c.location_id = k.location_id)
        ORDER BY c.slot, c.location_id, c.attempt) c
), histograms AS (
    SELECT website_id, begins, location_id, array_agg(v ORDER BY bucket, i) AS tally
    FROM (SELECT website_id, begins, location_id, histogram_bucket(us) AS bucket,
                 count(*)::integer AS n
          FROM counted WHERE us IS NOT NULL GROUP BY 1, 2, 3, 4) b
    CROSS JOIN LATERAL (VALUES (1, bucket), (2, n)) AS x (i, v) GROUP BY 1, 2, 3
), statuses AS (
    SELECT website_id, begins, location_id, array_agg(v ORDER BY http_status, i) AS tally
    FROM (SELECT website_id, begins, location_id, http_status, count(*)::integer AS n
          FROM counted WHERE http_status IS NOT NULL GROUP BY 1, 2, 3, 4) s
    CROSS JOIN LATERAL (VALUES (1, http_status), (2, n)) AS x (i, v) GROUP BY 1, 2, 3
), totals AS (
    SELECT website_id, begins, location_id,
           coalesce(sum(us), 0)::bigint AS sum_us, min(us) AS min_us, max(us) AS max_us,
           count(us)::integer AS responses,
           (count(*) FILTER (WHERE status = 'up'))::integer AS up,
           (count(*) FILTER (WHERE status = 'degraded'))::integer AS degraded,
           (count(*) FILTER (WHERE status = 'down'))::integer AS down,
           (count(*) FILTER (WHERE status = 'unknown'))::integer AS unknown,
           (count(*) FILTER (WHERE regex_matched))::integer AS matched,
           (count(*) FILTER (WHERE NOT regex_matched))::integer AS unmatched
    FROM counted GROUP BY 1, 2, 3
)
SELECT website_id, begins, sum_us, min_us, max_us, location_id, responses, up, degraded, down,
       unknown, matched, unmatched, coalesce(s.tally, '{}'), coalesce(h.tally, '{}')
FROM totals LEFT JOIN histograms h USING (website_id, begins, location_id)
LEFT JOIN statuses s USING (website_id, begins, location_id)
$q$ USING websites, locations, first, past, step;
END
$f$;

-- Whether the rows of a day can be read: its partition is there and is not being detached.
CREATE FUNCTION checks_has_day(day timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'checks'::regclass AND NOT i.inhdetachpending
          AND c.relname = 'checks_' || to_char(day AT TIME ZONE 'UTC', 'YYYYMMDD'))
$$;

-- Take marks in: at most rows_max batches. A finished hour waits for `delay`, so that what comes
-- late or in a rush is put together once.
CREATE FUNCTION rollups_take_marks(rows_max integer, delay interval) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    taken integer;
BEGIN
    WITH marks AS (
        DELETE FROM rollup_marks
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM rollup_marks LIMIT rows_max))
        RETURNING website_ids, location_ids, hours
    ), keys AS MATERIALIZED (
        SELECT DISTINCT k.website_id, timestamptz 'epoch' + k.hour * interval '1 hour' AS hour,
               k.location_id
        FROM marks, unnest(website_ids, location_ids, hours) AS k (website_id, location_id, hour)
    ), stale_hours AS (
        INSERT INTO rollup_stale_hours
        SELECT website_id, hour, location_id, greatest(hour + interval '1 hour', now()) + delay
        FROM keys ON CONFLICT DO NOTHING
    ), stale_days AS (
        INSERT INTO rollup_stale_days
        SELECT DISTINCT website_id, day_of(hour), location_id,
               greatest(day_of(hour) + interval '25 hours', now()) + delay
        FROM keys ON CONFLICT DO NOTHING
    )
    SELECT count(*) INTO taken FROM marks;
    RETURN taken;
END
$$;

-- Put hours together from the rows: at most keys_max of those due by `until`, of one hour. Where
-- the day is dropped the rollup stays as it is.
CREATE FUNCTION rollups_put_hours(keys_max integer, until timestamptz) RETURNS integer
LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    head rollup_stale_hours;
    websites bigint[];
    locations integer[];
BEGIN
    SELECT * INTO head FROM rollup_stale_hours WHERE due <= until ORDER BY due, begins LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT array_agg(website_id), array_agg(location_id) INTO websites, locations
    FROM (SELECT website_id, location_id FROM rollup_stale_hours
          WHERE due = head.due AND begins = head.begins LIMIT keys_max) k;
    IF checks_has_day(head.begins) THEN
        DELETE FROM rollups_1h r USING unnest(websites, locations) AS k (website_id, location_id)
        WHERE r.website_id = k.website_id AND r.begins = head.begins
          AND r.location_id = k.location_id;
        INSERT INTO rollups_1h SELECT * FROM rollups_of_checks(
            websites, locations, head.begins, head.begins + interval '1 hour', '1 hour');
        IF NOT checks_has_day(head.begins) THEN
            RAISE 'the day of % was dropped while it was read', head.begins
                USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
    DELETE FROM rollup_stale_hours s
    USING unnest(websites, locations) AS k (website_id, location_id)
    WHERE s.website_id = k.website_id AND s.begins = head.begins AND s.location_id = k.location_id;
    RETURN cardinality(websites);
END
$$;

-- Put days together from their hours: at most keys_max of those due by `until`, of one day. One
-- with a stale hour waits for `delay`.
CREATE FUNCTION rollups_put_days(keys_max integer, delay interval, until timestamptz)
RETURNS integer LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    head rollup_stale_days;
    websites bigint[];
    locations integer[];
BEGIN
    SELECT * INTO head FROM rollup_stale_days WHERE due <= until ORDER BY due, begins LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    WITH keys AS (
        SELECT d.website_id, d.location_id, EXISTS (
                SELECT FROM rollup_stale_hours h
                WHERE h.website_id = d.website_id AND h.location_id = d.location_id
                  AND h.begins >= d.begins AND h.begins < d.begins + interval '24 hours') AS waits
        FROM rollup_stale_days d WHERE d.due = head.due AND d.begins = head.begins LIMIT keys_max
    ), waiting AS (
        UPDATE rollup_stale_days d SET due = greatest(now(), head.due) + delay FROM keys k
        WHERE k.waits AND d.website_id = k.website_id AND d.begins = head.begins
          AND d.location_id = k.location_id
    )
    SELECT array_agg(website_id), array_agg(location_id) INTO websites, locations
    FROM keys WHERE NOT waits;
    DELETE FROM rollups_1d r USING unnest(websites, locations) AS k (website_id, location_id)
    WHERE r.website_id = k.website_id AND r.begins = head.begins AND r.location_id = k.location_id;
    INSERT INTO rollups_1d
    SELECT k.website_id, head.begins, sum(r.response_sum_us), min(r.response_min_us),
           max(r.response_max_us), k.location_id, sum(r.responses), sum(r.up), sum(r.degraded),
           sum(r.down), sum(r.unknown), sum(r.matched), sum(r.unmatched),
           tally_sum(r.http_statuses), tally_sum(r.histogram)
    FROM unnest(websites, locations) AS k (website_id, location_id)
    CROSS JOIN LATERAL (
        SELECT r.* FROM rollups_1h r
        WHERE r.website_id = k.website_id AND r.location_id = k.location_id
          AND r.begins >= head.begins AND r.begins < head.begins + interval '24 hours'
        OFFSET 0) r
    GROUP BY k.website_id, k.location_id;
    DELETE FROM rollup_stale_days s
    USING unnest(websites, locations) AS k (website_id, location_id)
    WHERE s.website_id = k.website_id AND s.begins = head.begins AND s.location_id = k.location_id;
    RETURN coalesce(cardinality(websites), 0);
END
$$;

-- One turn: marks of at most 200 batches are taken in, then at most about keys_max rollups put
-- together. One transaction at a time does this; another that tries gets NULLs. `until` beyond
-- now puts together what is not finished, too.
CREATE FUNCTION rollups_turn(keys_max integer, delay interval, until timestamptz DEFAULT now(),
                             OUT marks integer, OUT hours integer, OUT days integer)
LANGUAGE plpgsql AS $$
DECLARE
    portion integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1936290917, 5) THEN -- the program's locks; 5: rollups
        RETURN;
    END IF;
    marks := rollups_take_marks(200, delay);
    hours := 0;
    days := 0;
    LOOP
        portion := rollups_put_hours(keys_max - hours, until);
        hours := hours + portion;
        EXIT WHEN portion = 0 OR hours >= keys_max;
    END LOOP;
    IF hours >= keys_max THEN
        RETURN;
    END IF;
    LOOP
        portion := rollups_put_days(keys_max - days, delay, until);
        days := days + portion;
        EXIT WHEN portion = 0 OR days >= keys_max;
    END LOOP;
END
$$;

-- Rollups of a site from `first` (cut down to a whole step since 1970) to before `past`, all
-- locations or one together: a row for each step that has a check. Days and hours that are not
-- stale come from the rollups, the rest from the rows, so that it is always what the rows say.
CREATE FUNCTION site_rollups(website bigint, first timestamptz, past timestamptz, step interval,
                             location integer DEFAULT NULL)
RETURNS SETOF rollups_1h LANGUAGE plpgsql STABLE SET jit = off AS $$
DECLARE
    seconds constant numeric := extract(epoch FROM step);
    by_day constant boolean := seconds % 86400 = 0;
    by_hour constant boolean := seconds % 3600 = 0;
    begin_at constant timestamptz := date_bin(step, first, 'epoch');
    days_end constant timestamptz := CASE WHEN by_day THEN greatest(day_of(past), begin_at)
                                          ELSE begin_at END;
    hours_end constant timestamptz := CASE WHEN by_hour THEN greatest(hour_of(past), begin_at)
                                           ELSE begin_at END;
BEGIN
    RETURN QUERY
    WITH stale AS MATERIALIZED ( -- hours
        SELECT s.location_id, s.begins FROM rollup_stale_hours s
        WHERE s.website_id = website AND s.begins >= begin_at AND s.begins < hours_end
        UNION
        SELECT m.location_id, timestamptz 'epoch' + m.hour * interval '1 hour'
        FROM rollup_marks, unnest(website_ids, location_ids, hours)
            AS m (website_id, location_id, hour)
        WHERE m.website_id = website
          AND timestamptz 'epoch' + m.hour * interval '1 hour' >= begin_at
          AND timestamptz 'epoch' + m.hour * interval '1 hour' < hours_end
    ), stale_days AS MATERIALIZED (
        SELECT s.location_id, s.begins FROM rollup_stale_days s
        WHERE s.website_id = website AND s.begins >= begin_at AND s.begins < days_end
        UNION SELECT s.location_id, day_of(s.begins) FROM stale s WHERE s.begins < days_end
    ), spans (location_id, first, past) AS ( -- to be read from the hours
        SELECT d.location_id, d.begins, d.begins + interval '24 hours' FROM stale_days d
        UNION ALL SELECT NULL, days_end, hours_end
    ), raw AS ( -- to be read from the rows
        SELECT s.location_id, min(s.begins) AS first, max(s.begins) + interval '1 hour' AS past
        FROM (SELECT t.*, t.begins - interval '1 hour' * row_number() OVER (
                         PARTITION BY t.location_id ORDER BY t.begins) AS island
              FROM stale t) s
        GROUP BY s.location_id, s.island
        UNION ALL SELECT NULL, hours_end, past
    ), pieces AS (
        SELECT r.* FROM rollups_1d r
        WHERE r.website_id = website AND r.begins >= begin_at AND r.begins < days_end
          AND (r.location_id, r.begins) NOT IN (SELECT d.location_id, d.begins FROM stale_days d)
        UNION ALL
        SELECT r.* FROM spans s CROSS JOIN LATERAL (
            SELECT r.* FROM rollups_1h r
            WHERE r.website_id = website AND r.begins >= s.first AND r.begins < s.past
              AND (s.location_id IS NULL OR r.location_id = s.location_id)
            OFFSET 0) r
        WHERE (r.location_id, r.begins) NOT IN (SELECT t.location_id, t.begins FROM stale t)
        UNION ALL
        SELECT c.* FROM raw s CROSS JOIN LATERAL rollups_of_checks(
            ARRAY[website], ARRAY[s.location_id], s.first, s.past, step) c
        WHERE s.first < s.past
    )
    SELECT website, date_bin(step, p.begins, 'epoch'), sum(p.response_sum_us)::bigint,
           min(p.response_min_us), max(p.response_max_us), location, sum(p.responses)::integer,
           sum(p.up)::integer, sum(p.degraded)::integer, sum(p.down)::integer,
           sum(p.unknown)::integer, sum(p.matched)::integer, sum(p.unmatched)::integer,
           tally_sum(p.http_statuses), tally_sum(p.histogram)
    FROM pieces p WHERE location IS NULL OR p.location_id = location
    GROUP BY 2 ORDER BY 2;
END
$$;

-- The same as a graph shows it. Times are milliseconds; uptime and matched are shares from 0 to 1.
CREATE FUNCTION site_series(website bigint, first timestamptz, past timestamptz, step interval,
                            location integer DEFAULT NULL)
RETURNS TABLE (begins timestamptz, checks bigint, uptime double precision,
               matched double precision, min_ms double precision, mean_ms double precision,
               p50_ms double precision, p95_ms double precision, p99_ms double precision,
               max_ms double precision, http_statuses integer[])
LANGUAGE sql STABLE AS $$
    SELECT r.begins, r.up::bigint + r.degraded + r.down + r.unknown,
           (r.up + r.degraded) / nullif(r.up + r.degraded + r.down, 0)::double precision,
           r.matched / nullif(r.matched + r.unmatched, 0)::double precision,
           ms.lowest, r.response_sum_us / nullif(r.responses, 0) / 1000::double precision,
           least(greatest(p.us[1] / 1000, ms.lowest), ms.highest),
           least(greatest(p.us[2] / 1000, ms.lowest), ms.highest),
           least(greatest(p.us[3] / 1000, ms.lowest), ms.highest),
           ms.highest, r.http_statuses
    FROM site_rollups(website, first, past, step, location) r
    CROSS JOIN LATERAL (SELECT r.response_min_us / 1000::double precision,
                               r.response_max_us / 1000::double precision) ms (lowest, highest)
    CROSS JOIN LATERAL histogram_percentiles(r.histogram, 0.5, 0.95, 0.99) AS p (us)
    ORDER BY r.begins
$$;
