"""The api against a real Postgres: sites, checks, incidents, tokens, limits."""

import concurrent.futures
import contextlib
import gzip
import http.client
import re
import signal
import ssl
import urllib.parse

import psycopg2
import pytest

from stand import process, sitewatch
from stand.api import store_checks


def test_a_site_is_made_read_changed_and_deleted(api):
    made = api.ask("POST", "/websites", {"url": "https://example.com/a", "seconds": 30,
                                         "pattern": r"v(\d+)", "tags": ["shop"]})
    assert made.status == 201
    site = made.json()
    assert made.headers["Location"] == f"/websites/{site['id']}"
    assert (site["name"], site["version"], site["state"]) == ("https://example.com/a", 1, "unknown")

    read = api.ask("GET", f"/websites/{site['id']}")
    assert read.status == 200 and read.json() == site and read.headers["ETag"].startswith('"1.')
    assert api.ask("GET", f"/websites/{site['id']}", headers={"If-None-Match": read.headers["ETag"]}).status == 304

    patched = api.ask("PATCH", f"/websites/{site['id']}", {"seconds": 60, "pattern": None},
                      headers={"If-Match": read.headers["ETag"], "Content-Type": "application/merge-patch+json"})
    assert patched.status == 200, patched.body
    assert patched.json()["seconds"] == 60 and "pattern" not in patched.json()
    assert patched.json()["tags"] == ["shop"] and patched.json()["version"] == 2

    for known in ('"1"', '"x", "1.5"', 'W/"2"', '"3', "2", '"2x"', '"99999999999999999999"', ""):
        late = api.ask("PUT", f"/websites/{site['id']}", {"url": "https://example.com/b"}, headers={"If-Match": known})
        assert late.status == 412, known
    # What GET has shown may be sent back as it is, and changes nothing.
    same = api.ask("PUT", f"/websites/{site['id']}", patched.json(),
                   headers={"If-Match": '"x", "7.1",W/"8" , ' + patched.headers["ETag"]})
    assert same.status == 200 and same.json() == patched.json()
    by_url = api.ask("PUT", "/websites", {"url": "https://example.com/a", "seconds": 5})
    assert by_url.status == 200 and by_url.json()["version"] == 3 and "tags" not in by_url.json()
    by_id = api.ask("PUT", "/websites", {"id": site["id"], "url": "https://example.com/moved"})
    assert by_id.status == 200 and by_id.json()["url"] == "https://example.com/moved"

    assert api.ask("DELETE", f"/websites/{site['id']}").status == 204
    assert api.ask("GET", f"/websites/{site['id']}").status == 404
    assert api.ask("DELETE", f"/websites/{site['id']}").status == 404
    row = api.query("SELECT deleted_at, source FROM websites")[0]
    assert row["deleted_at"] is not None and row["source"] == "api"

    back = api.post(url="https://example.com/again", name="https://example.com/moved")
    assert back["id"] == site["id"]


def test_refusals_say_what_to_mend(api):
    first = api.post(url="https://example.com/")
    taken = api.ask("POST", "/websites", {"url": "https://example.com/"})
    assert taken.status == 409 and taken.pointers() == ["/name"]
    other = api.post(url="https://example.com/other")
    assert api.ask("PATCH", f"/websites/{other['id']}", {"name": first["name"]}).status == 409

    wrong = api.ask("POST", "/websites", {"url": "https://a/", "seconds": 4, "pattern": "a(b", "ca_fil": 1})
    assert wrong.status == 422 and wrong.pointers() == ["/pattern", "/ca_fil", "/seconds"]
    assert wrong.headers["Content-Type"] == "application/problem+json"
    assert "offset 3" in wrong.detail()
    private = api.ask("POST", "/websites", {"url": "https://a/", "allow_private": True})
    assert private.status == 403 and private.pointers() == ["/allow_private"]

    broken = api.ask("POST", "/websites", '{"url": ', headers={"Content-Type": "application/json"})
    assert broken.status == 400 and "byte 8" in broken.detail()
    assert api.ask("POST", "/websites", [1]).status == 400
    assert api.ask("POST", "/websites", "{}", headers={"Content-Type": "text/plain"}).status == 415
    assert api.ask("GET", "/websites?pgae=1").pointers() == ["pgae"]
    assert api.ask("GET", "/websites?page=1&page=2").status == 400
    # What is shown of a long name is cut within a character, and is UTF-8 all the same.
    assert "no such parameter" in api.ask("GET", "/websites?a" + urllib.parse.quote("ä" * 100)).detail()
    assert "no such option" in api.ask("POST", "/websites", {"url": "https://a/", "a" + "ä" * 100: 1}).detail()
    assert api.ask("GET", "/websites?size=0").pointers() == ["size"]
    assert api.ask("GET", "/websites?cursor=AAAA").pointers() == ["cursor"]
    assert api.ask("GET", "/websites/0").status == 404
    assert api.ask("GET", "/websites/1x").status == 404
    assert api.ask("GET", "/nothing").status == 404
    wrong_method = api.ask("DELETE", "/websites")
    assert wrong_method.status == 405 and wrong_method.headers["Allow"] == "GET, HEAD, POST, PUT"
    two = [api.post(url="https://twice.example/", name=n)["id"] for n in ("one", "two")]
    assert len(set(two)) == 2
    assert api.ask("PUT", "/websites", {"url": "https://twice.example/"}).status == 409
    assert api.ask("PUT", "/websites", {"url": "https://nowhere.example/"}).status == 404


def test_text_with_sql_and_headers_in_it_is_text(api):
    evil = "'; DROP TABLE websites; --"
    site = api.post(url="https://example.com/", name=evil, tags=[evil])
    quoted = urllib.parse.quote(evil)
    assert api.ask("GET", f"/websites?tag={quoted}").json()["total"] == 1
    assert api.ask("GET", f"/websites?keyword={quoted}").json()["total"] == 0
    assert api.ask("GET", f"/websites?sort={quoted}").status == 400
    assert api.ask("GET", f"/websites?status={quoted}").status == 400
    assert api.ask("GET", f"/websites/{quoted}").status == 404
    assert api.ask("GET", "/websites?keyword=%00").status == 400
    assert [api.ask("GET", path).status for path in ("/%00", "/healthz%00x", f"/websites/{site['id']}%00")] == [400] * 3
    assert api.ask("GET", "/websites?keyword=%ff").status == 400
    assert api.ask("GET", "/websites?keyword=%0d%0aX-Evil:1").json()["total"] == 0
    name = api.ask("POST", "/websites", {"url": "https://b/", "name": "a\r\nX-Evil: 1"})
    assert name.status == 422 and name.pointers() == ["/name"]
    one_backslash = api.ask("POST", "/websites", '{"url":"https://b/","pattern":"\\bword"}',
                            headers={"Content-Type": "application/json"})
    assert one_backslash.status == 422 and one_backslash.pointers() == ["/pattern"]
    header = api.ask("POST", "/websites", {"url": "https://b/", "headers": ["A: b\r\nX-Evil: 1"]})
    assert header.status == 422 and header.pointers() == ["/headers"]
    assert api.ask("GET", f"/websites/{site['id']}").json()["name"] == evil


def test_pages_and_cursors_give_every_site_once(api):
    names = [f"site-{i:02}" for i in range(25)]
    for name in names:
        api.post(url=f"https://{name}.example/", name=name, tags=["even"] if int(name[-1]) % 2 == 0 else [])

    assert [s["name"] for s in api.ask("GET", "/websites?page=3&size=10").json()["items"]] == names[20:]
    assert api.ask("GET", "/websites?page=4&size=10").json() == {"items": [], "total": 25, "size": 10, "page": 4}
    for sort, expected in (("id", names), ("-name", names[::-1]), ("url", names), ("-updated_at", names[::-1])):
        seen, path = [], f"/websites?size=7&sort={sort}"
        while path:
            page = api.ask("GET", path)
            assert page.status == 200 and page.json()["total"] == 25
            seen += [s["name"] for s in page.json()["items"]]
            link = page.headers.get("Link")
            path = link and re.fullmatch(r'<(.*)>; rel="next"', link).group(1)
        assert seen == expected
    assert api.ask("GET", "/websites?tag=even").json()["total"] == 13
    assert api.ask("GET", "/website?keyword=SITE-07.EX").json()["items"][0]["name"] == "site-07"
    assert api.ask("GET", "/website").pointers() == ["keyword"]
    assert "next" not in api.ask("GET", "/websites?size=1&keyword=nowhere").json()
    assert "next" not in api.ask("GET", "/websites?size=1&page=1000").json()
    cursor = api.ask("GET", "/websites?size=7").json()["next"]
    assert api.ask("GET", f"/websites?sort=name&cursor={cursor}").pointers() == ["cursor"]


def test_checks_are_read_newest_first(api):
    site = api.post(url="https://example.com/checked")
    store_checks(api, site["id"], ["up"] * 3 + ["down"] * 2)
    path = "/monitoring?url=" + urllib.parse.quote("https://example.com:443/checked", safe="")
    page = api.ask("GET", path + "&size=3").json()
    assert [c["status"] for c in page["items"]] == ["down", "down", "up"] and page["more"]
    newest = page["items"][0]
    assert newest["http_status"] == 200 and newest["response_time"] == 0.0015
    assert newest["regex_response"] == [["v1"]] and newest["error_type"] == "status"
    assert newest["website_id"] == site["id"] and newest["location"] == "here"
    slots = [c["slot"] for c in api.ask("GET", path).json()["items"]]
    assert slots == sorted(slots, reverse=True) and len(slots) == 5
    between = api.ask("GET", path + f"&from={urllib.parse.quote(slots[3])}&to={urllib.parse.quote(slots[1])}").json()
    assert [c["slot"] for c in between["items"]] == slots[2:4]
    assert api.ask("GET", path + "&from=yesterday").pointers() == ["from"]
    assert api.ask("GET", "/monitoring").pointers() == ["url"]
    assert api.ask("GET", "/monitoring?url=https://nowhere.example/").status == 404


def test_the_state_of_a_site_is_told_over_its_locations(api):
    site = api.post(url="https://example.com/", seconds=60)
    quorum = api.post(url="https://two.example/", seconds=60)
    assert api.ask("PATCH", f"/websites/{quorum['id']}", {"quorum": 2}).status == 200
    for one in (site, quorum):
        store_checks(api, one["id"], ["down"], "here")
        store_checks(api, one["id"], ["up"], "there")
    assert api.ask("GET", f"/websites/{site['id']}").json()["state"] == "down"
    assert api.ask("GET", f"/websites/{quorum['id']}").json()["state"] == "up"
    locations = api.ask("GET", f"/websites/{site['id']}").json()["locations"]
    assert [(x["location"], x["state"], x["stale"]) for x in locations] == [
        ("here", "down", False), ("there", "up", False)]
    assert [s["id"] for s in api.ask("GET", "/websites?status=down").json()["items"]] == [site["id"]]
    # A location that is silent for three intervals and a minute has no say.
    api.query("UPDATE site_state SET last_slot = now() - interval '242 seconds'"
              " WHERE location_id = (SELECT location_id FROM locations WHERE name = 'here') RETURNING 1")
    read = api.ask("GET", f"/websites/{site['id']}").json()
    assert read["state"] == "up" and read["locations"][0]["stale"] and read["locations"][0]["state"] == "unknown"


def test_checks_are_summed_up_for_a_graph(api):
    site = api.post(url="https://example.com/")
    path = f"/websites/{site['id']}/metrics"
    assert api.ask("GET", path).json() == {"step": 900, "items": []}
    store_checks(api, site["id"], ["up"] * 7 + ["down"] * 2 + ["unknown"], "here")
    store_checks(api, site["id"], ["up"] * 5, "there")
    points = api.ask("GET", path + "?step=3600").json()["items"]
    assert sum(p["checks"] for p in points) == 15
    assert sum(p["status_codes"]["200"] for p in points) == 15
    assert all(p["min_ms"] == p["max_ms"] == p["p95_ms"] == 1.5 for p in points)
    there = api.ask("GET", path + "?step=86400&location=there").json()["items"]
    assert sum(p["checks"] for p in there) == 5 and {p["uptime"] for p in there} == {1}
    assert api.ask("GET", path + "?location=nowhere").json()["items"] == []
    day = api.ask("GET", path + "?step=604800").json()["items"]
    assert sum(p["uptime"] * p["checks"] for p in day) > 11
    assert api.ask("GET", path + "?step=59").pointers() == ["step"]
    assert api.ask("GET", path + "?from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z&step=60").pointers() == ["step"]
    assert api.ask("GET", path + "?from=2026-01-01T00:00:00Z&to=2025-03-01T00:00:00Z").pointers() == ["from"]
    assert api.ask("GET", "/websites/999/metrics").status == 404


def test_incidents_are_listed(api):
    site = api.post(url="https://example.com/")
    store_checks(api, site["id"], ["up"])
    api.query("INSERT INTO incidents (website_id, opened_slot, closed_slot, location_id, checks, withdrawn, error_type)"
              " SELECT %s, now() - h * interval '1 hour', CASE WHEN h > 1 THEN now() END, location_id, h, h = 3, 'status'"
              " FROM locations, generate_series(1, 4) h RETURNING 1", site["id"])
    listed = api.ask("GET", "/incidents").json()["items"]
    assert [i["checks"] for i in listed] == [1, 2, 4]  # not the one that was withdrawn
    assert listed[0]["open"] and "closed_at" not in listed[0] and listed[0]["name"] == "https://example.com/"
    assert [i["checks"] for i in api.ask("GET", "/incidents?open=false").json()["items"]] == [2, 4]
    assert api.ask("GET", "/incidents?website_id=999").json()["items"] == []
    assert api.ask("GET", "/incidents?open=maybe").pointers() == ["open"]
    backwards = api.ask("GET", "/incidents?from=2026-11-22T00:00:00Z&to=2026-11-21T00:00:00Z")
    assert backwards.status == 422 and backwards.pointers() == ["from"]
    assert {i["scope"] for i in api.ask("GET", "/incidents?scope=location").json()["items"]} == {"location"}


def test_incidents_of_sites_over_all_locations_are_listed(api):
    site = api.post(url="https://example.com/")
    api.query("INSERT INTO locations (name) VALUES ('here'), ('there') RETURNING 1")
    api.query("INSERT INTO site_incidents (website_id, opened_slot, closed_slot, closed_by, quorum, location_ids,"
              " withdrawn, error_type)"
              " SELECT %s, now() - h * interval '1 hour', CASE WHEN h > 1 THEN now() END, CASE WHEN h > 1 THEN 'stale'"
              " END, h, ARRAY(SELECT location_id FROM locations), h = 3, 'status' FROM generate_series(1, 4) h RETURNING 1",
              site["id"])
    listed = api.ask("GET", "/incidents?scope=site").json()["items"]
    assert [i["quorum"] for i in listed] == [1, 2, 4]  # not the one that was withdrawn
    assert listed[0]["open"] and listed[0]["locations"] == ["here", "there"] and "location" not in listed[0]
    assert [i.get("closed_by") for i in listed] == [None, "stale", "stale"]
    assert [i["quorum"] for i in api.ask("GET", "/incidents?scope=site&open=true").json()["items"]] == [1]
    assert api.ask("GET", "/incidents").json()["items"] == []
    assert api.ask("GET", "/incidents?scope=all").pointers() == ["scope"]


def test_the_same_post_again_makes_nothing_anew(api):
    key = {"Idempotency-Key": "order-1"}
    first = api.ask("POST", "/websites", {"url": "https://example.com/"}, headers=key)
    again = api.ask("POST", "/websites", {"url": "https://example.com/"}, headers=key)
    assert first.status == again.status == 201 and first.json() == again.json()
    assert "Idempotency-Replayed" not in first.headers and again.headers["Idempotency-Replayed"] == "true"
    other = api.ask("POST", "/websites", {"url": "https://other.example/"}, headers=key)
    assert other.status == 422 and other.pointers() == ["Idempotency-Key"]
    refused = api.ask("POST", "/websites", {"url": "https://example.com/"}, headers={"Idempotency-Key": "order-2"})
    assert refused.status == 409  # a refusal keeps no key
    assert [r["key"] for r in api.query("SELECT key FROM api_idempotency")] == ["order-1"]
    assert api.ask("POST", "/websites", {"url": "https://x/"}, headers={"Idempotency-Key": "x" * 256}).status == 400

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: api.ask("POST", "/websites", {"url": "https://once.example/"},
                                                     headers={"Idempotency-Key": "order-3"}), range(8)))
    assert {a.status for a in answers} == {201} and len({a.json()["id"] for a in answers}) == 1


def test_tokens_let_in_who_may(api):
    assert api.ask("GET", "/websites", headers={"Authorization": None}).status == 401
    for wrong in ("sw_1_", "sw_1_" + "A" * 43, "nonsense", "sw_x_" + "A" * 43, "sw_999_" + "A" * 43,
                  api.write[:-1] + ("A" if api.write[-1] != "A" else "B")):
        refused = api.ask("GET", "/websites", token=wrong)
        assert refused.status == 401 and refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert api.ask("GET", "/websites", token=api.read).status == 200
    assert api.ask("POST", "/websites", {"url": "https://a/"}, token=api.read).status == 403

    hidden = api.post(url="https://example.com/", headers=["X-Shop: 7"], method="POST", body="b", username="u")
    path = f"/websites/{hidden['id']}"
    assert api.ask("GET", path).json()["headers"] == ["X-Shop: 7"]
    assert not {"headers", "body", "username"} & set(api.ask("GET", path, token=api.read).json())

    short = api.token("read", "--days", "1")
    assert api.ask("GET", "/websites", token=short).status == 200
    api.query("UPDATE api_tokens SET expires_at = now() WHERE expires_at IS NOT NULL RETURNING 1")
    assert api.ask("GET", "/websites", token=short).status == 401
    number = api.read.split("_")[1]
    assert sitewatch.run("api", "token", "revoke", number, env=api.env).returncode == 0
    assert api.ask("GET", "/websites", token=api.read).status == 401
    again = sitewatch.run("api", "token", "revoke", number, env=api.env)
    assert again.returncode == 1 and f"there is no valid token {number}" in again.stderr
    listed = sitewatch.run("api", "token", "list", env=api.env).stdout
    assert re.search(rf"{number}\s+read\s+\S+\s+revoked", listed) and "ended" in listed
    stored = api.query("SELECT encode(hash, 'escape') AS hash FROM api_tokens")
    secret = api.write.split("_", 2)[2]  # which may hold a _ itself
    assert all(secret not in row["hash"] for row in stored)


def test_without_a_token_only_loopback_is_served(api_database):
    api_database.query("DELETE FROM api_tokens RETURNING 1")
    outside = sitewatch.run("api", "--listen", "0.0.0.0:0", env=api_database.env)
    assert outside.returncode == 2 and "api token create" in outside.stderr
    api_database.start()
    assert api_database.program.has_line("api token create --owner NAME --scope write")
    assert api_database.ask("GET", "/websites").status == 401
    assert api_database.ask("GET", "/healthz").status == 200


def test_limits_hold(api_database):
    api = api_database.start("--api-body-kb", "1", "--api-rate", "50", "--api-timeout-seconds", "1")
    large = api.ask("POST", "/websites", {"url": "https://a/", "body": "x" * 2000})
    assert large.status == 413
    chunked = api.ask("POST", "/websites", iter([b"x" * 500] * 5), headers={"Content-Type": "application/json"})
    assert chunked.status == 413
    statuses = [api.ask("GET", "/healthz") for _ in range(150)]
    refused = [a for a in statuses if a.status == 429]
    assert refused and int(refused[0].headers["Retry-After"]) >= 1
    assert {a.status for a in statuses} == {200, 429}

    slow = [http.client.HTTPConnection("127.0.0.1", api.port, timeout=30) for _ in range(50)]
    for connection in slow:
        connection.connect()
        connection.sock.sendall(b"GET /websites HTTP/1.1\r\nHost: a\r\nX-Slow: ")
    process.wait_for(lambda: api.ask("GET", "/healthz").status == 200, "an answer beside slow clients", 10)
    for connection in slow:
        assert connection.sock.recv(1000)[:12] in (b"", b"HTTP/1.1 408")
        connection.close()


def test_answers_are_compressed_and_heads_have_no_body(api):
    for i in range(20):
        api.post(url=f"https://{i}.example/")
    plain = api.ask("GET", "/websites")
    packed = api.ask("GET", "/websites", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert packed.headers["Content-Encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
    assert "Content-Encoding" not in api.ask("GET", "/websites", headers={"Accept-Encoding": "gzip;q=0"}).headers
    head = api.ask("HEAD", "/websites")
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) == len(plain.body)


def test_other_pages_may_ask_only_when_it_is_set(api_database):
    ask = {"Origin": "https://page.example", "Access-Control-Request-Method": "PUT"}
    api = api_database.start()
    assert api.ask("OPTIONS", "/websites/1", headers=ask).status == 405
    assert "Access-Control-Allow-Origin" not in api.ask("GET", "/websites", headers=ask).headers
    api.program.terminate()
    api.start("--api-cors-origin", "https://page.example")
    preflight = api.ask("OPTIONS", "/websites/1", headers={**ask, "Authorization": None})
    assert preflight.status == 204 and "PUT" in preflight.headers["Access-Control-Allow-Methods"]
    assert api.ask("GET", "/websites", headers=ask).headers["Access-Control-Allow-Origin"] == "https://page.example"


def test_it_serves_over_tls(api_database, certs):
    api = api_database.start("--api-cert-file", certs / "good.pem", "--api-key-file", certs / "good.key")
    context = ssl.create_default_context(cafile=certs / "ca.pem")
    assert api.ask("GET", "/websites", context=context).status == 200
    half = sitewatch.run("api", "--api-cert-file", certs / "good.pem", env=api.env)
    assert half.returncode == 2 and "api-key-file" in half.stderr


@pytest.mark.own_servers
def test_a_database_that_goes_away_is_said_and_comes_back(api, postgres):
    assert api.ask("GET", "/readyz").body == b"ready\n"
    postgres.crash()
    try:
        away = api.ask("GET", "/websites")
        assert away.status == 503 and away.headers["Retry-After"] == "5"
        assert api.ask("GET", "/readyz").status == 503 and api.ask("GET", "/healthz").status == 200
    finally:
        postgres.start()
    process.wait_for(lambda: api.ask("GET", "/websites").status == 200, "the database to serve again", 20)
    api.program.terminate()


def test_the_description_has_the_routes_and_the_page_loads_from_here_alone(api):
    described = api.ask("GET", "/openapi.json", headers={"Authorization": None}).json()
    assert described["openapi"] == "3.1.0" and "get" in described["paths"]["/websites"]
    website = described["components"]["schemas"]["Website"]["properties"]
    site = api.post(url="https://example.com/", seconds=30, tags=["a"])
    assert set(site) <= set(website)
    page = api.ask("GET", "/docs", headers={"Authorization": None})
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    types = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "json": "application/json",
             "svg": "image/svg+xml"}
    for name in re.findall(r'(?:src|href)="(/[^"]+)"', page.body.decode()):
        loaded = api.ask("GET", name, headers={"Authorization": None})
        assert loaded.status == 200 and loaded.headers["Content-Type"] == types[name.rpartition(".")[2]]
        assert loaded.headers["Cache-Control"] == "no-cache"
        assert loaded.headers.get_all("X-Content-Type-Options") == ["nosniff"]
        known = {"If-None-Match": loaded.headers["ETag"]}
        assert api.ask("GET", name, headers=known).status == 304
        assert api.ask("GET", name, headers={"If-None-Match": '"other"'}).body == loaded.body
    metrics = sitewatch.parse_metrics(api.ask("GET", "/metrics").body.decode())
    assert metrics['sitewatch_api_requests_total{class="2xx"}'] >= 4
    assert metrics["sitewatch_api_request_seconds_count"] == sitewatch.metric_sum(
        metrics, "sitewatch_api_requests_total")


def test_a_state_that_changes_without_a_check_is_told(api):
    site = api.post(url="https://example.com/")
    store_checks(api, site["id"], ["up"])
    path = f"/websites/{site['id']}"
    read = api.ask("GET", path)
    known = {"If-None-Match": read.headers["ETag"]}
    assert api.ask("GET", path, headers=known).status == 304
    # The same last slot: a check of it that came late, or a location that fell silent.
    api.query("UPDATE site_state SET status = 'down' RETURNING 1")
    again = api.ask("GET", path, headers=known)
    assert again.status == 200 and again.json()["last_slot"] == read.json()["last_slot"]
    assert (read.json()["state"], again.json()["state"]) == ("up", "down")
    late = api.ask("PATCH", path, {"seconds": 7}, headers={"If-Match": read.headers["ETag"]})
    assert late.status == 200, "the site itself is as it was"


def test_a_second_signal_ends_it_while_a_request_waits(api):
    with (contextlib.closing(psycopg2.connect(api.env["POSTGRES_DSN"])) as other,
          concurrent.futures.ThreadPoolExecutor(1) as threads):
        other.cursor().execute("LOCK TABLE websites IN ACCESS EXCLUSIVE MODE")
        waiting = threads.submit(api.ask, "GET", "/websites")
        process.wait_for(lambda: api.query("SELECT 1 FROM pg_locks WHERE NOT granted"), "the request to wait")
        assert api.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'sitewatch-api'")
        api.program.signal(signal.SIGTERM)
        process.wait_for(lambda: api.program.has_thread("second signal"), "the thread that waits for a signal")
        assert api.program.process.poll() is None, "a request is not answered yet"
        api.program.signal(signal.SIGTERM)
        assert api.program.wait(5) == 0
        assert waiting.exception(10) is not None


def test_wrong_settings_are_said(api_database):
    for args, words in ((["--listen", "nowhere"], "listen"),
                        (["--api-allow-options", "url"], "api-allow-options: url"),
                        (["--api-cert-file", "/nowhere", "--api-key-file", "/nowhere"], "/nowhere"),
                        (["token", "create"], "--owner"),
                        (["token", "create", "--owner", "a\x1b[2J"], "owner: want a name"),
                        (["token", "revoke", "x"], "want the id"),
                        (["token"], "create, list or revoke"),
                        (["fly"], "not a command")):
        done = sitewatch.run("api", *args, env=api_database.env)
        assert done.returncode == 2 and words in done.stderr, (args, done.stderr)
    empty = sitewatch.run("api", "--listen", "127.0.0.1:0",
                          env={"POSTGRES_DSN": api_database.postgres.dsn("postgres")})
    assert empty.returncode == 1 and "consumer migrate" in empty.stderr
    early = sitewatch.run("api", "token", "create", "--owner", "me",
                          env={"POSTGRES_DSN": api_database.postgres.dsn("postgres")})
    assert early.returncode == 1 and "(42P01); is the database migrated (consumer migrate)?" in early.stderr
    before = sitewatch.run("api", "token", "list", env=api_database.env).stdout
    for args in ([], ["token", "create", "--owner", "me"]):
        valid = sitewatch.run("api", *args, "--check-config", env=api_database.env)
        assert valid.returncode == 0 and valid.stdout == "settings are valid\n"
    assert sitewatch.run("api", "token", "list", env=api_database.env).stdout == before


def test_a_table_that_is_missing_is_a_500_and_a_line_in_the_log_with_its_name(api):
    api.query("ALTER TABLE dead_letters RENAME TO hidden")
    refused = api.ask("GET", "/dead-letters")
    assert refused.status == 500 and "dead_letters" not in refused.body.decode()
    assert "dead_letters" in api.program.wait_for_line("a query failed")
    assert api.ask("GET", "/websites").status == 200


@pytest.mark.own_servers
def test_an_api_ends_though_postgres_does_not_answer(api):
    api.postgres.pause()
    try:
        asking = http.client.HTTPConnection("127.0.0.1", api.port, timeout=1)
        asking.request("GET", "/websites", headers={"Authorization": f"Bearer {api.write}"})
        with pytest.raises(TimeoutError):  # so it waits for Postgres
            asking.getresponse()
        api.program.signal(signal.SIGTERM)
        assert api.program.wait(60) == 0
        assert api.program.has_line('msg="a server does not answer, leaving at once"')
        asking.close()
    finally:
        api.postgres.go_on()
