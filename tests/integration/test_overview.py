"""/overview: all sites in one answer, with what their last day came to."""

import time

import pytest

from stand import process, rollups


def store(api, website_id, hours_ago, statuses, ms=100, cert_days=None, location="here"):
    """Final checks, a millisecond apart, that many hours ago, and the state that the last of them leaves."""
    api.query("INSERT INTO locations (name) VALUES (%s) ON CONFLICT DO NOTHING", location)
    api.query("SELECT checks_make_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(-2, 1) n")
    api.query(
        "WITH made AS (INSERT INTO checks (website_id, slot, checked_at, lag_us, response_time_us, dns_us, wait_us, location_id,"
        "   attempt, http_status, final, status, observer, cert_not_after)"
        " SELECT %s, t, t, 0, %s * 1000, 1000, %s * 1000 - 1000, location_id, 1, 200, true, s.status, 'host',"
        "   now() + %s * interval '1 day'"
        " FROM unnest(%s::text[]) WITH ORDINALITY AS s (status, n), locations l,"
        "   LATERAL (SELECT greatest(date_trunc('hour', now()), now() - interval '1 s') - %s * interval '1 hour'"
        "     + n * interval '1 ms') k (t)"
        " WHERE l.name = %s RETURNING *), marked AS (INSERT INTO rollup_stale_hours"
        "   SELECT DISTINCT website_id, hour_of(slot), location_id, now() FROM made ON CONFLICT DO NOTHING),"
        " days AS (INSERT INTO rollup_stale_days"
        "   SELECT DISTINCT website_id, day_of(slot), location_id, now() FROM made ON CONFLICT DO NOTHING)"
        " INSERT INTO site_state (website_id, location_id, status, since, last_slot)"
        " SELECT website_id, location_id, status, slot, slot FROM made ORDER BY slot DESC LIMIT 1"
        " ON CONFLICT (website_id, location_id) DO UPDATE SET status = excluded.status,"
        "   since = excluded.since, last_slot = excluded.last_slot",
        website_id, ms, ms, cert_days, statuses, hours_ago, location)


def overview(api, **more):
    answer = api.ask("GET", "/overview", **more)
    assert answer.status == 200, answer.body
    return answer.json()


def with_figures(api, check=lambda sites: True):
    def made():
        told = overview(api)
        sites = {site["name"]: site for site in told["sites"]}
        return sites if "figures_at" in told and check(sites) else None

    return process.wait_for(made, "figures", 60, 0.2)


def test_all_sites_are_in_it_with_what_their_day_came_to(api):
    process.wait_for(lambda: time.time() % 3600 < 3560, "an hour that does not end meanwhile", 41)
    shop = api.post(url="https://shop.example/", name="shop", tags=["a", "b"], pattern="x")
    api.post(url="https://new.example/", name='new "one" \\ \u2028')
    paused = api.post(url="https://paused.example/", name="paused", enabled=False)
    gone = api.post(url="https://gone.example/", name="gone")
    assert api.ask("DELETE", f"/websites/{gone['id']}").status == 204
    store(api, shop["id"], 30, ["down"] * 5)  # before the day
    store(api, shop["id"], 5, ["up", "up", "degraded", "down"])
    store(api, shop["id"], 3, ["unknown"])
    store(api, shop["id"], 3, ["up"] * 4, location="there")
    rollups.put_together(api.postgres, api.database)
    store(api, shop["id"], 0, ["up"] * 12, ms=200, cert_days=40)
    store(api, paused["id"], 1, ["down"])

    sites = with_figures(api)
    assert list(sites) == ["shop", 'new "one" \\ \u2028', "paused"]
    assert sites["shop"]["bars"] == "-" * 18 + "x-u--u"
    assert sites["shop"]["uptime_24h"] == pytest.approx(19 / 20)
    assert sites["shop"]["p95_ms"] == pytest.approx(200, rel=0.05)
    assert sites["shop"]["tags"] == ["a", "b"] and sites["shop"]["state"] == "up" and sites["shop"]["enabled"]
    assert sites["shop"]["cert_not_after"].endswith("Z")
    new = sites['new "one" \\ \u2028']
    assert new["bars"] == "-" * 24 and new["state"] == "unknown"
    assert not {"uptime_24h", "p95_ms", "cert_not_after", "tags"} & set(new)
    assert sites["paused"]["enabled"] is False and sites["paused"]["bars"][-2] == "x"


def test_a_token_to_read_is_enough_and_one_is_needed(api):
    assert overview(api, token=api.read).items() >= {"sites": [], "total": 0}.items()
    assert api.ask("GET", "/overview", headers={"Authorization": None}).status == 401
    assert api.ask("GET", "/overview?page=1").status == 400


def test_it_is_sent_again_only_when_something_differs(api):
    site = api.post(url="https://a.example/")
    with_figures(api, lambda sites: len(sites) == 1)

    def unchanged():
        tag = api.ask("GET", "/overview").headers["ETag"]
        again = api.ask("GET", "/overview", headers={"If-None-Match": tag})
        return tag if again.status == 304 and again.body == b"" else None

    before = process.wait_for(unchanged, "an answer that has not changed", 20)
    assert api.ask("PATCH", f"/websites/{site['id']}", {"tags": ["x"]}).status == 200
    after = process.wait_for(lambda: overview(api)["sites"][0].get("tags") == ["x"]
                             and api.ask("GET", "/overview", headers={"If-None-Match": before}), "the change", 20)
    assert after.status == 200 and after.headers["ETag"] != before


def test_figures_follow_what_is_stored(api):
    site = api.post(url="https://a.example/", name="a")
    with_figures(api, lambda sites: sites["a"]["bars"] == "-" * 24)
    store(api, site["id"], 0, ["up"])
    with_figures(api, lambda sites: sites["a"]["bars"] == "-" * 23 + "u")


def test_more_sites_than_one_statement_reads_are_in_it(api):
    api.query("INSERT INTO websites (name, website_url, monitoring_interval, source)"
              " SELECT 'site ' || i, 'https://site-' || i || '.example/', 60, 'file' FROM generate_series(1, 1200) i")
    sites = with_figures(api, lambda sites: len(sites) == 1200)
    process.wait_for(lambda: all("bars" in site for site in overview(api)["sites"]), "all figures", 60, 0.2)
    assert sites["site 1200"]["url"] == "https://site-1200.example/"


def test_a_database_that_is_away_is_said_and_its_return_is_noticed(api):
    api.post(url="https://a.example/")
    with_figures(api)
    api.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{api.database}'"
              " AND pid <> pg_backend_pid()")
    process.wait_for(lambda: api.ask("GET", "/overview").status == 200, "the overview to be back", 20)


def test_phases_are_means_of_each_step(api):
    site = api.post(url="https://a.example/")
    path = f"/websites/{site['id']}/phases"
    assert api.ask("GET", path).json()["items"] == []
    store(api, site["id"], 2, ["up", "down"], ms=100)
    store(api, site["id"], 2, ["up"], ms=400, location="there")
    [hour] = api.ask("GET", f"{path}?step=3600").json()["items"]
    assert hour["checks"] == 3 and hour["total_ms"] == 200 and hour["dns_ms"] == 1 and hour["wait_ms"] == 199
    assert hour["tls_ms"] == 0
    [there] = api.ask("GET", f"{path}?step=3600&location=there").json()["items"]
    assert there["checks"] == 1 and there["total_ms"] == 400
    assert api.ask("GET", f"{path}?location=nowhere").json()["items"] == []
    api.query("UPDATE checks SET http_status = NULL, response_time_us = NULL")
    assert api.ask("GET", path).json()["items"] == []
    long = api.ask("GET", f"{path}?from=2026-01-01T00:00:00Z&to=2026-01-08T00:00:01Z")
    assert long.status == 422 and long.pointers() == ["from"]
    assert api.ask("GET", f"{path}?from=2026-01-01T00:00:00Z&to=2026-01-08T00:00:00Z").status == 200
    assert api.ask("GET", "/websites/999/phases").status == 404


def test_checks_of_one_site_are_read_page_by_page(api):
    site = api.post(url="https://same.example/", name="one")
    other = api.post(url="https://same.example/", name="two")
    store(api, site["id"], 2, ["up", "down", "up"])
    store(api, other["id"], 2, ["down"])
    path = f"/websites/{site['id']}/checks"
    first = api.ask("GET", f"{path}?size=2").json()
    assert [c["status"] for c in first["items"]] == ["up", "down"] and first["more"]
    assert [c["status"] for c in api.ask("GET", f"{path}?size=2&page=2").json()["items"]] == ["up"]
    assert {c["website_id"] for c in first["items"]} == {site["id"]}
    assert api.ask("GET", f"{path}?to=2026-01-01T00:00:00Z").json()["items"] == []
    assert api.ask("GET", "/websites/999/checks").status == 404
    assert api.ask("GET", path, headers={"Authorization": None}).status == 401


def test_what_the_dashboard_consists_of_is_served_with_its_policy(api):
    page = api.ask("GET", "/", headers={"Authorization": None})
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    files = [path for path, item in api.ask("GET", "/openapi.json").json()["paths"].items() if path.startswith("/web/")]
    assert "/web/app.js" in files and "/web/vendor/uPlot.iife.min.js" in files
    folder = process.ROOT / "api" / "web"
    for path in files:
        served = api.ask("GET", path, headers={"Authorization": None})
        assert served.status == 200 and served.body == (folder / path.removeprefix("/web/")).read_bytes(), path
        assert "default-src 'self'" in served.headers["Content-Security-Policy"]
        assert api.ask("GET", path, headers={"If-None-Match": served.headers["ETag"]}).status == 304
    there = {f"/web/{p.relative_to(folder)}" for p in folder.rglob("*.js")} - {"/web/docs.js"}
    assert there <= set(files), "a module that no route leads to"
    assert api.ask("GET", "/web/nothing.js").status == 404
