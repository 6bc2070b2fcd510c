-- One row a site: name, status, status code, response time, the last 20 checks as letters from
-- old to new (u up, d degraded, x down, ? unknown), checks stored, last error, url.
SELECT w.name,
       coalesce(last.status, 'waiting'),
       last.http_status,
       round(last.response_time_us / 1000.0, 1),
       coalesce(bar.letters, ''),
       (SELECT count(*) FROM checks c WHERE c.website_id = w.website_id),
       (SELECT c.error_type FROM checks c
        WHERE c.website_id = w.website_id AND c.error_type IS NOT NULL
        ORDER BY c.slot DESC, c.attempt DESC LIMIT 1),
       w.website_url
FROM websites w
LEFT JOIN LATERAL (
    SELECT c.status, c.http_status, c.response_time_us FROM checks c
    WHERE c.website_id = w.website_id AND c.final
    ORDER BY c.slot DESC, c.attempt DESC LIMIT 1) last ON true
LEFT JOIN LATERAL (
    SELECT string_agg(CASE newest.status
                          WHEN 'up' THEN 'u' WHEN 'degraded' THEN 'd' WHEN 'down' THEN 'x'
                          ELSE '?' END,
                      '' ORDER BY newest.slot, newest.attempt) AS letters
    FROM (SELECT c.slot, c.attempt, c.status FROM checks c
          WHERE c.website_id = w.website_id AND c.final
          ORDER BY c.slot DESC, c.attempt DESC LIMIT 20) newest) bar ON true
WHERE w.deleted_at IS NULL
ORDER BY w.website_id;
