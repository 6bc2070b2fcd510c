"""Many sites at once: what an export gives an import takes back, all of it or nothing."""

import base64
import http.client
import re

import pytest

from stand import sitewatch

KEY = base64.b64encode(b"k" * 32).decode()
SITES = [
    {"url": "https://one.example/", "seconds": 30, "pattern": r"v(\d+)", "tags": ["a", "b"]},
    {"url": "https://two.example/", "name": 'a "name" \\ ä', "method": "POST", "body": "line\nline\t\x01",
     "headers": ["X-Shop: 7"], "status": "200,301-302", "verify_tls": False, "max_body_bytes": 67108864},
    {"url": "https://three.example/", "enabled": False, "username": "u", "password": "hunter2"},
    {"url": "https://four.example/", "headers": ["Accept: a", "X-Api-Key: hunter2"], "timeout_ms": 900},
]
AS_LIBCONFIG = {"Content-Type": "text/plain; charset=utf-8"}


@pytest.fixture
def filled(api_database):
    api = api_database.start(SITES_SECRET_KEY=KEY)
    for site in SITES:
        api.post(**site)
    return api


def rows(api):
    return api.query("SELECT name, config, version, updated_at, source FROM websites WHERE deleted_at IS NULL ORDER BY 1")


@pytest.mark.parametrize("form", ["json", "libconfig"])
def test_what_is_exported_is_imported_unchanged(filled, tmp_path, form):
    before = rows(filled)
    exported = filled.ask("GET", f"/websites/export?format={form}")
    assert exported.status == 200 and b"hunter2" not in exported.body and b"sealed" not in exported.body
    headers = {"Content-Type": exported.headers["Content-Type"]}
    same = filled.ask("POST", "/websites/import", exported.body, headers=headers)
    assert same.status == 200, same.body
    assert same.json() == {"inserted": 0, "updated": 0, "unchanged": 4, "dry_run": False}
    assert rows(filled) == before, "not even the secrets, which the document lacks"

    if form == "libconfig":
        path = tmp_path / "sites.conf"
        path.write_bytes(exported.body)
        checked = sitewatch.run("producer", "--targets-file", path, "--check-config")
        assert checked.returncode == 0, checked.stderr
        asked = filled.ask("GET", "/websites/export", headers={"Accept": "text/plain"})
        assert asked.body == exported.body

    # Into a database that has none of them: all but the secrets comes back.
    filled.query("DELETE FROM websites RETURNING 1")
    back = filled.ask("POST", "/websites/import", exported.body, headers=headers)
    assert back.json()["inserted"] == 4
    again = filled.ask("GET", f"/websites/export?format={form}")
    if form == "json":
        assert sorted(again.json()["items"], key=str) == sorted(exported.json()["items"], key=str)
    else:
        assert sorted(again.body.replace(b",\n", b"\n").split(b"\n")) == sorted(
            exported.body.replace(b",\n", b"\n").split(b"\n"))


def test_sites_of_a_file_are_taken_back_where_an_api_s_would_be_refused(api_database, tmp_path):
    targets = tmp_path / "sites.conf"
    targets.write_text('targets = ( { url = "http://10.0.0.1/"; seconds = 3600; resolve_to = "10.0.0.2"; } );')
    assert sitewatch.run("consumer", "seed", targets, env=api_database.env).returncode == 0
    api = api_database.start()
    document = api.ask("GET", "/websites/export").json()
    assert document["items"][0]["allow_private"] is True and document["items"][0]["seconds"] == 3600
    assert api.ask("POST", "/websites/import", document).json()["unchanged"] == 1
    assert rows(api)[0]["source"] == "file"
    document["items"][0]["pattern"] = "a"
    changed = api.ask("POST", "/websites/import", document)
    assert changed.status == 422 and changed.pointers() == ["/seconds"]
    api.query("DELETE FROM websites RETURNING 1")
    assert api.ask("POST", "/websites/import", document).status == 403


def test_one_site_that_is_wrong_keeps_all_out(filled):
    before = rows(filled)
    text = ('targets = (\n  { url = "https://new.example/"; },\n  { url = "https://bad.example/";\n'
            '    pattern = "("; seconds = 4; },\n  { url = "https://new.example/"; allow_private = true; }\n);\n')
    refused = filled.ask("POST", "/websites/import", text, headers=AS_LIBCONFIG)
    assert refused.status == 403
    assert [(e["item"], e["line"], e["pointer"]) for e in refused.json()["errors"]] == [
        (2, 5, "/name"), (1, 3, "/pattern"), (1, 3, "/seconds"), (2, 5, "/allow_private")]
    as_json = filled.ask("POST", "/websites/import", {"items": [{"url": "https://new.example/"}, 5, {"seconds": 4}]})
    assert as_json.status == 422
    assert [(e["item"], e["pointer"]) for e in as_json.json()["errors"]] == [(1, ""), (2, "/seconds")]
    many = filled.ask("POST", "/websites/import", {"items": [{"url": "x"}] * 50})
    assert many.status == 422 and len(many.json()["errors"]) == 20
    included = filled.ask("POST", "/websites/import", '\n@include "/etc/passwd"', headers=AS_LIBCONFIG)
    assert included.status == 422 and included.detail() == "body:2: @include is not taken here"
    assert rows(filled) == before


def test_a_dry_run_says_what_would_come_and_changes_nothing(filled):
    before = rows(filled)
    document = {"items": [{"url": "https://one.example/", "seconds": 60}, {"url": "https://new.example/"}]}
    dry = filled.ask("POST", "/websites/import?dry_run=true", document)
    assert dry.json() == {"inserted": 1, "updated": 1, "unchanged": 0, "dry_run": True}
    assert rows(filled) == before
    assert filled.ask("POST", "/websites/import", document).json()["updated"] == 1
    assert {r["name"]: r["version"] for r in rows(filled)}["https://one.example/"] == 2


def test_an_export_comes_in_parts(filled):
    seen, path, count = [], "/websites/export?size=3", 0
    while path:
        part = filled.ask("GET", path)
        seen += [s["url"] for s in part.json()["items"]]
        link = part.headers.get("Link")
        path = link and re.fullmatch(r'<(.*)>; rel="next"', link).group(1)
        count += 1
    assert count == 2 and seen == [s["url"] for s in SITES]
    # Long ones: fewer than were asked for, and the rest follows.
    filled.query("UPDATE websites SET config = config || jsonb_build_object('body', repeat('x', 1500000)) RETURNING 1")
    part = filled.ask("GET", "/websites/export")
    assert len(part.json()["items"]) == 1 and "after=" in part.headers["Link"]


def test_only_who_may_write_sends_or_reads_so_much(api_database):
    api = api_database.start("--api-body-kb", "10", "--api-import-kb", "400")
    document = {"items": [{"url": f"https://{i}.example/{'x' * 1000}"} for i in range(300)]}
    assert api.ask("POST", "/websites/import", document).json()["inserted"] == 300
    assert api.ask("POST", "/websites/import", document).json()["unchanged"] == 300
    for token in (api.read, "sw_1_nonsense"):
        try:
            assert api.ask("POST", "/websites/import", document, token=token).status == 413
        except (BrokenPipeError, ConnectionResetError, http.client.HTTPException):
            pass  # it is refused before it is all sent
    assert api.ask("POST", "/websites/import", {"items": []}, token=api.read).status == 403
    assert api.ask("GET", "/websites/export", token=api.read).status == 403
    try:
        assert api.ask("POST", "/websites/import", {"items": [{"body": "x" * 500000}]}).status == 413
    except (BrokenPipeError, ConnectionResetError, http.client.HTTPException):
        pass
    assert api.ask("GET", "/healthz").status == 200
