-- Rollups that are not what the rows of checks say: none, at any moment, under any load.
--
-- psql -f tests/stand/rollups.sql, or tests/stand/rollups.py. It is one statement, and so sees one
-- state of the tables. What is marked as stale is not looked at: to have it looked at, too, put
-- everything together before (rollups.py: put_together). It knows nothing of the functions that
-- make rollups but histogram_bucket().
WITH steps (step, length) AS (
    VALUES ('hour', interval '1 hour'), ('day', interval '24 hours')
), marks AS (
    SELECT m.website_id, m.location_id, timestamptz 'epoch' + m.hour * interval '1 hour' AS begins
    FROM rollup_marks, unnest(website_ids, location_ids, hours) AS m (website_id, location_id, hour)
), stale AS (
    SELECT 'hour' AS step, website_id, location_id, begins FROM rollup_stale_hours
    UNION SELECT 'day', website_id, location_id, begins FROM rollup_stale_days
    UNION SELECT step, website_id, location_id, date_bin(length, begins, 'epoch') FROM marks, steps
), counted AS (
    SELECT DISTINCT ON (website_id, location_id, slot)
           website_id, location_id, slot, status, http_status, regex_matched,
           CASE WHEN http_status IS NULL THEN NULL
                WHEN response_time_us > 86400000000 THEN 86400000000
                ELSE response_time_us END AS us
    FROM checks WHERE final ORDER BY website_id, location_id, slot, attempt
), placed AS (
    SELECT step, date_bin(length, slot, 'epoch') AS begins, counted.* FROM counted, steps
), histograms AS (
    SELECT step, website_id, location_id, begins, jsonb_object_agg(bucket, n) AS tally
    FROM (SELECT step, website_id, location_id, begins, histogram_bucket(us) AS bucket,
                 count(*) AS n
          FROM placed WHERE us IS NOT NULL GROUP BY 1, 2, 3, 4, 5) b GROUP BY 1, 2, 3, 4
), statuses AS (
    SELECT step, website_id, location_id, begins, jsonb_object_agg(http_status, n) AS tally
    FROM (SELECT step, website_id, location_id, begins, http_status, count(*) AS n
          FROM placed WHERE http_status IS NOT NULL GROUP BY 1, 2, 3, 4, 5) s GROUP BY 1, 2, 3, 4
), totals AS (
    SELECT step, website_id, location_id, begins, jsonb_build_object(
               'up', count(*) FILTER (WHERE status = 'up'),
               'degraded', count(*) FILTER (WHERE status = 'degraded'),
               'down', count(*) FILTER (WHERE status = 'down'),
               'unknown', count(*) FILTER (WHERE status = 'unknown'),
               'matched', count(*) FILTER (WHERE regex_matched),
               'unmatched', count(*) FILTER (WHERE NOT regex_matched),
               'responses', count(us), 'response_sum_us', coalesce(sum(us), 0),
               'response_min_us', min(us), 'response_max_us', max(us)) AS said
    FROM placed GROUP BY 1, 2, 3, 4
), rows_say AS (
    SELECT t.step, t.website_id, t.location_id, t.begins, t.said || jsonb_build_object(
               'http_statuses', s.tally, 'histogram', h.tally) AS said
    FROM totals t LEFT JOIN statuses s USING (step, website_id, location_id, begins)
    LEFT JOIN histograms h USING (step, website_id, location_id, begins)
), rollups AS (
    SELECT 'hour' AS step, * FROM rollups_1h UNION ALL SELECT 'day', * FROM rollups_1d
), rollups_say AS (
    SELECT step, website_id, location_id, begins,
           to_jsonb(r) - '{step, website_id, location_id, begins}'::text[] || jsonb_build_object(
               'http_statuses', (SELECT jsonb_object_agg(http_statuses[i], http_statuses[i + 1])
                   FROM generate_series(1, cardinality(http_statuses), 2) i),
               'histogram', (SELECT jsonb_object_agg(histogram[i], histogram[i + 1])
                   FROM generate_series(1, cardinality(histogram), 2) i)) AS said
    FROM rollups r WHERE EXISTS ( -- a rollup outlives its rows
        SELECT FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
        WHERE inhparent = 'checks'::regclass AND NOT inhdetachpending
          AND c.relname = to_char(r.begins AT TIME ZONE 'UTC', '"checks_"YYYYMMDD'))
)
SELECT step, website_id, location_id, begins, w.said AS rows_say, r.said AS rollup_says
FROM rows_say w FULL JOIN rollups_say r USING (step, website_id, location_id, begins)
LEFT JOIN stale s USING (step, website_id, location_id, begins)
WHERE w.said IS DISTINCT FROM r.said AND s.step IS NULL
ORDER BY step, website_id, location_id, begins;
