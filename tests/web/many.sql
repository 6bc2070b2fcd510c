-- 10,000 sites with rollups of their last day, and one of them (10000) with rollups of a year.

INSERT INTO locations (location_id, name) VALUES (1, 'berlin');
SELECT checks_make_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(-1, 1) n;

INSERT INTO websites (website_id, name, website_url, monitoring_interval, config, source)
SELECT i, 'site ' || to_char(i, 'FM00000'), 'https://host-' || i || '.example/path/' || md5(i::text), 300,
       jsonb_build_object('url', 'https://host-' || i || '.example/', 'tags', jsonb_build_array('group-' || i % 40)), 'file'
FROM generate_series(1, 10000) i;

INSERT INTO site_state (website_id, location_id, status, since, last_slot)
SELECT i, 1, CASE WHEN i % 500 = 0 THEN 'down' WHEN i % 300 = 0 THEN 'degraded' ELSE 'up' END, now() - interval '1 day', now()
FROM generate_series(1, 10000) i;

-- The present hour is in the rows.
INSERT INTO checks (website_id, slot, checked_at, lag_us, response_time_us, dns_us, connect_us, tls_us, wait_us, transfer_us, body_bytes,
                    cert_not_after, location_id, attempt, http_status, final, status, observer, peer)
SELECT i, s.last_slot, s.last_slot, 200, us, us / 10, us / 7, us / 4, us / 3, us / 8, 5120, now() + i % 90 * interval '1 day', 1, 1, 200, true,
       s.status, 'host-1', inet '192.0.2.1'
FROM generate_series(1, 10000) i JOIN site_state s ON s.website_id = i
    CROSS JOIN LATERAL (SELECT (50000 * exp(2 * random()))::bigint) t (us);

INSERT INTO rollups_1h
SELECT w, hour_of(now()) - h * interval '1 hour', 12 * 150000, 50001, 368000, 1, 12,
       CASE WHEN (w + h) % 97 = 0 THEN 11 ELSE 12 END, 0, CASE WHEN (w + h) % 97 = 0 THEN 1 ELSE 0 END, 0, 0, 0, '{200,12}', t.tally
FROM generate_series(1, 24) h
    CROSS JOIN LATERAL (SELECT array_agg(v ORDER BY b, o) AS tally FROM generate_series(136, 161, 2) b
        CROSS JOIN LATERAL (VALUES (1, b), (2, 1 + 0 * h)) x (o, v)) t
    CROSS JOIN generate_series(1, 10000) w;

INSERT INTO rollups_1d
SELECT 10000, day_of(now()) - d * interval '24 hours', 288 * 150000, 50001, 368000 + 1000 * (d % 30), 1, 288, 285, 2, 1, 0, 0, 0,
       '{200,287,503,1}', h.tally
FROM generate_series(366, 1, -1) d
    CROSS JOIN LATERAL (SELECT array_agg(v ORDER BY b, o) AS tally FROM generate_series(136, 161) b
        CROSS JOIN LATERAL (VALUES (1, b), (2, 8 + d % 7)) x (o, v)) h;

INSERT INTO rollup_stale_hours SELECT w, hour_of(now()), 1, now() + interval '1 hour' FROM generate_series(1, 10000) w;
INSERT INTO rollup_stale_days SELECT w, day_of(now()), 1, now() + interval '1 day' FROM generate_series(1, 10000) w;
VACUUM ANALYZE;
