-- A few sites with a day and more of checks at two locations, for tests/web and the pictures of docs/.
-- Rows are made as the consumer's are; figures repeat from run to run.

INSERT INTO locations (location_id, name) VALUES (1, 'berlin'), (2, 'helsinki');

INSERT INTO websites (website_id, name, website_url, monitoring_interval, regex, enabled, config, source)
SELECT id, name, url, seconds, pattern, enabled,
       jsonb_strip_nulls(jsonb_build_object('url', url, 'name', name, 'seconds', seconds, 'pattern', pattern, 'tags', to_jsonb(tags))), 'api'
FROM (VALUES
    (1, 'shop', 'https://shop.example/', 60, 'v=(\d+)', true, '{shop,front}'::text[]),
    (2, 'shop checkout', 'https://shop.example/checkout', 60, NULL, true, '{shop}'),
    (3, 'blog', 'https://blog.example/', 300, NULL, true, '{front}'),
    (4, 'search', 'https://search.example/health', 60, NULL, true, '{shop,internal}'),
    (5, 'billing', 'https://billing.example/health', 60, NULL, true, '{internal}'),
    (6, 'https://status.partner.example/', 'https://status.partner.example/', 300, NULL, true, NULL),
    (7, 'old intranet', 'https://intranet.example/', 300, NULL, false, '{internal}'),
    (8, 'mail', 'https://mail.example/', 60, NULL, true, '{internal}')
) AS s (id, name, url, seconds, pattern, enabled, tags);

SELECT setval(pg_get_serial_sequence('websites', 'website_id'), 1000);
SELECT checks_make_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(-3, 1) n;

-- Times of responses: a base a site, a wave a day, and noise that is a hash of the check.
CREATE TEMP TABLE made AS
SELECT w.website_id, l.location_id, slot, c.noise,
       (base * (1 + 0.25 * sin(extract(epoch FROM slot)::double precision / 13750) + 0.5 * c.noise ^ 3))::bigint AS us,
       CASE
           WHEN w.website_id = 5 AND slot > now() - interval '47 min' THEN 'down'
           WHEN w.website_id = 3 AND slot BETWEEN now() - interval '9 hours' AND now() - interval '8 hours 20 min' THEN 'down'
           WHEN w.website_id = 2 AND c.noise > 0.8 AND slot BETWEEN now() - interval '15 hours' AND now() - interval '11 hours' THEN 'degraded'
           WHEN w.website_id = 4 AND slot BETWEEN now() - interval '5 hours' AND now() - interval '4 hours' THEN 'unknown'
           ELSE 'up'
       END AS status
FROM websites w CROSS JOIN (VALUES (1), (2)) l (location_id)
    CROSS JOIN LATERAL (SELECT 40000 + 23000 * w.website_id + 15000 * l.location_id) b (base)
    CROSS JOIN LATERAL generate_series(
        date_trunc('minute', now()) - interval '2 days', now() - interval '1 second',
        greatest(w.monitoring_interval, 120) * interval '1 second') slot
    CROSS JOIN LATERAL (SELECT (abs(hashtextextended(slot::text, w.website_id * 7 + l.location_id)) % 10000) / 10000.0) c (noise)
WHERE w.enabled;

INSERT INTO checks (website_id, slot, checked_at, lag_us, response_time_us, dns_us, connect_us, tls_us, wait_us, transfer_us,
                    body_bytes, cert_not_after, location_id, attempt, http_status, final, regex_matched, status, observer, peer,
                    error_type, error_message, regex_response)
SELECT website_id, slot, slot, 200, CASE WHEN answered THEN us END, CASE WHEN answered THEN us / 10 END, CASE WHEN answered THEN us / 7 END,
       CASE WHEN answered THEN us / 4 END, CASE WHEN answered THEN us * 2 / 5 END,
       CASE WHEN answered THEN us - us / 10 - us / 7 - us / 4 - us * 2 / 5 END, CASE WHEN answered THEN 5120 END,
       CASE WHEN answered THEN date_trunc('day', now()) + (website_id * 11) * interval '1 day' END, location_id, 1,
       CASE WHEN status = 'down' THEN 503 WHEN answered THEN 200 END, true, CASE WHEN website_id = 1 THEN true END, status, 'host-1',
       CASE WHEN answered THEN inet '192.0.2.17' END, CASE status WHEN 'down' THEN 'status' WHEN 'unknown' THEN 'local_network' END,
       CASE status WHEN 'down' THEN 'status 503 is not in 200-399' WHEN 'unknown' THEN 'no route from here' END,
       CASE WHEN website_id = 1 THEN jsonb_build_array(jsonb_build_array('v=' || (us % 90 + 10), (us % 90 + 10)::text)) END
FROM (SELECT *, status <> 'unknown' AS answered FROM made) m;

INSERT INTO site_state (website_id, location_id, status, since, last_slot, failures_in_a_row)
SELECT website_id, location_id, last, coalesce(max(slot) FILTER (WHERE status <> last), min(slot)), max(slot),
       CASE WHEN last = 'down' THEN count(*) FILTER (WHERE status = 'down') ELSE 0 END
FROM (SELECT *, last_value(status) OVER (PARTITION BY website_id, location_id ORDER BY slot
          RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last FROM made) m
GROUP BY website_id, location_id, last;

INSERT INTO incidents (website_id, opened_slot, closed_slot, location_id, checks, error_type, error_message)
SELECT website_id, min(slot), CASE WHEN website_id <> 5 THEN max(slot) + interval '5 min' END, location_id, count(*), 'status',
       'status 503 is not in 200-399'
FROM made WHERE status = 'down' GROUP BY website_id, location_id;

UPDATE site_state s SET incident_slot = i.opened_slot FROM incidents i
WHERE i.website_id = s.website_id AND i.location_id = s.location_id AND i.closed_slot IS NULL;

INSERT INTO rollup_stale_hours SELECT DISTINCT website_id, hour_of(slot), location_id, now() FROM made;
INSERT INTO rollup_stale_days SELECT DISTINCT website_id, day_of(slot), location_id, now() FROM made;
UPDATE rollup_stale_hours SET due = now() + interval '1 hour' WHERE begins = hour_of(now());
SELECT rollups_turn(1000000, '0');

INSERT INTO dead_letters ("offset", payload_bytes, partition, in_topic, topic, reason, detail, key, payload, payload_sha256)
SELECT n, length(bytes), 0, true, 'checks-success', reason, detail, convert_to('shop', 'UTF8'), bytes, sha256(bytes)
FROM (VALUES
    (1, 'json', 'not a value, at byte 0: <b>x</b>', convert_to('<img src=x onerror="window.ran = 1"><script>window.ran = 1</script>', 'UTF8')),
    (2, 'text', 'not UTF-8, at byte 0', '\xff00'::bytea)) AS d (n, reason, detail, bytes);
