"""What is shown without a token: nothing, until a tag is named; then of sites with it, and little."""

import re
import xml.etree.ElementTree as ElementTree

from stand import process
from stand.api import store_checks

NOBODY = {"Authorization": None}


def badge(api, site_id, **headers):
    return api.ask("GET", f"/badge/{site_id}.svg", headers={**NOBODY, **headers})


def fill(api):
    shown = api.post(url="https://user.example/", name="shop <b>", tags=["public"], headers=["X-Shop: hidden-header"])
    address = api.post(url="https://example.com/path?key=hidden-query", tags=["public", "other"])
    hidden = api.post(url="https://internal.example/", name="hidden-name", tags=["other"])
    store_checks(api, shown["id"], ["up"] * 3 + ["down"])
    store_checks(api, address["id"], ["up"] * 4)
    store_checks(api, hidden["id"], ["down"])
    api.query("UPDATE checks SET error_message = 'hidden-error' WHERE status = 'down' RETURNING 1")
    return shown["id"], address["id"], hidden["id"]


def test_nothing_is_public_until_it_is_switched_on(api):
    shown, _, _ = fill(api)
    nothing = api.ask("GET", "/nothing", headers=NOBODY)
    for path in ("/status", "/status.css", f"/badge/{shown}.svg"):
        answer = api.ask("GET", path, headers=NOBODY)
        assert answer.status == 404 and answer.body == nothing.body
        assert api.ask("GET", path).status == 404  # a token changes nothing


def test_the_page_shows_sites_with_the_tag_and_no_more_of_them(api_database):
    api = api_database.start("--api-public-tag", "public")
    shown, address, hidden = fill(api)
    page = api.ask("GET", "/status", headers=NOBODY)
    html = page.body.decode()
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<h1>1 of 2 down</h1>" in html and "hidden" not in html and "user.example" not in html
    rows = re.findall(r'<th scope="row">(.*?)</th><td class="(\w+)">\2</td><td>(.*?)</td><td>(.*?)</td>', html)
    assert rows == [("example.com", "up", "100.00 %", "100.00 %"), ("shop &lt;b&gt;", "down", "75.00 %", "75.00 %")]
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "<script" not in html and "style=" not in html
    assert api.ask("GET", "/status.css", headers=NOBODY).headers["Content-Type"] == "text/css; charset=utf-8"
    # It is made once for all who ask within a while.
    api.query("UPDATE site_state SET status = 'up' RETURNING 1")
    again = api.ask("GET", "/status", headers=NOBODY)
    assert again.body == page.body and again.headers["ETag"] == page.headers["ETag"]
    assert again.headers["Cache-Control"] == "public, max-age=30"
    same = api.ask("GET", "/status", headers={**NOBODY, "If-None-Match": page.headers["ETag"]})
    assert same.status == 304 and same.body == b""
    head = api.ask("HEAD", "/status", headers=NOBODY)
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) == len(page.body)
    assert badge(api, shown).status == badge(api, address).status == 200
    assert badge(api, hidden).status == badge(api, 999).status == 404


def test_a_badge_is_a_picture_with_a_text(api_database):
    api = api_database.start("--api-public-tag", "public")
    shown, address, _ = fill(api)
    picture = badge(api, shown)
    assert picture.headers["Content-Type"] == "image/svg+xml"
    assert picture.headers["Cache-Control"] == "public, max-age=30"
    root = ElementTree.fromstring(picture.body)
    assert root.attrib["role"] == "img" and root.attrib["aria-label"] == "shop <b>: down"
    assert [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")] == ["shop <b>", "down"]
    assert ElementTree.fromstring(badge(api, address).body).attrib["aria-label"] == "example.com: up"
    assert b"hidden" not in picture.body + badge(api, address).body
    tag = picture.headers["ETag"]
    assert badge(api, shown, **{"If-None-Match": tag}).status == 304
    api.query("UPDATE site_state SET status = 'up' RETURNING 1")
    changed = badge(api, shown, **{"If-None-Match": tag})
    assert changed.status == 200 and changed.headers["ETag"] != tag
    for wrong in ("/badge/.svg", "/badge/x.svg", "/badge/0.svg", f"/badge/{shown}.png", f"/badge/{shown}"):
        assert api.ask("GET", wrong, headers=NOBODY).status == 404
    api.ask("DELETE", f"/websites/{shown}")
    assert badge(api, shown).status == 404


def test_a_page_without_sites_and_one_with_too_many(api_database):
    api = api_database.start("--api-public-tag", "public")
    assert b"<h1>No site is shown here</h1>" in api.ask("GET", "/status", headers=NOBODY).body
    api.program.terminate()
    api.query("INSERT INTO websites (name, website_url, monitoring_interval, source, config)"
              " SELECT 'n' || i, 'https://n/', 60, 'api', '{\"tags\": [\"public\"]}'"
              " FROM generate_series(1, 201) i RETURNING 1")
    api.start("--api-public-tag", "public")
    page = api.ask("GET", "/status", headers=NOBODY).body
    assert b"<h1>200 of 200 unknown</h1>" in page and page.count(b'<th scope="row">') == 200
    assert page.count(b"<td>-</td>") == 400


def test_the_page_is_said_to_be_away_and_an_old_one_stays(api_database, postgres):
    api = api_database.start("--api-public-tag", "public")
    fill(api)
    postgres.crash()
    try:
        assert api.ask("GET", "/status", headers=NOBODY).status == 503
        assert badge(api, 1).status == 503
    finally:
        postgres.start()
    process.wait_for(lambda: api.ask("GET", "/status", headers=NOBODY).status == 200, "the page", 20)
