"""SQL and headers, tried through every parameter, header and option that the description names."""

import itertools
import time
import urllib.parse

HOSTILE = [
    "'; DROP TABLE websites; --", "' UNION SELECT encode(hash, 'hex') FROM api_tokens --", "1; SELECT pg_sleep(9)",
    "' || (SELECT pg_sleep(9)) || '", "1 OR 1=1", "\\'; DELETE FROM websites; --", "$1", "%s%n", "{{7*7}}",
    "a\r\nX-Evil: 1", "a\nSet-Cookie: evil=1", '"}],"evil":1', "<script>evil</script>", "../../etc/passwd",
    "\x7f\x1b[31m",
]
SECONDS_MAX = 8  # below the sleep that some ask for
ENDLESS = {"/events"}


def assert_unharmed(api, answer, began, what):
    assert answer.status < 500, (what, answer.status, answer.body)
    assert time.monotonic() - began < SECONDS_MAX, what
    assert "X-Evil" not in answer.headers and "Set-Cookie" not in answer.headers, what
    if answer.status == 200 and answer.headers["Content-Type"] == "application/json":
        assert isinstance(answer.json(), dict) and "evil" not in answer.json(), what


def assert_all_there(api, sites):
    there = api.query("SELECT (SELECT count(*) FROM websites WHERE deleted_at IS NULL) AS sites,"
                      " (SELECT count(*) FROM api_tokens) AS tokens")[0]
    assert (there["sites"], there["tokens"]) == (sites, 2)


def test_no_parameter_reaches_sql_or_the_headers(api_database):
    api = api_database.start("--api-rate", "0")
    site = api.post(url="https://example.com/")
    tried = 0
    for path, methods in api.ask("GET", "/openapi.json").json()["paths"].items():
        asked = path.replace("{id}", str(site["id"]))
        queries = [p["name"] for p in methods.get("get", {}).get("parameters", []) if p["in"] == "query"]
        for name, text in itertools.product(queries if path not in ENDLESS else [], HOSTILE):
            required = [p["name"] for p in methods["get"]["parameters"] if p["required"] and p["in"] == "query"]
            query = urllib.parse.urlencode({**{n: "https://example.com/" for n in required}, name: text})
            began = time.monotonic()
            assert_unharmed(api, api.ask("GET", f"{asked}?{query}"), began, (path, name, text))
            tried += 1
        if "{id}" in path:
            for text in HOSTILE:
                began = time.monotonic()
                answer = api.ask("GET", path.replace("{id}", urllib.parse.quote(text, safe="")))
                assert answer.status in (400, 404, 405), (path, text, answer.status)
                assert_unharmed(api, answer, began, (path, text))
    assert tried > 200
    assert_all_there(api, 1)


def test_no_header_reaches_sql_or_the_answer(api):
    site = api.post(url="https://example.com/")
    path = f"/websites/{site['id']}"
    for text in HOSTILE:
        line = text.replace("\r", " ").replace("\n", " ")  # a client's own library lets no more through
        for name, method, body in (("If-Match", "PATCH", {"seconds": 30}), ("If-None-Match", "GET", None),
                                   ("Authorization", "GET", None), ("Accept", "GET", None),
                                   ("Accept-Encoding", "GET", None), ("Origin", "GET", None),
                                   ("Content-Type", "PATCH", "{}"), ("X-Forwarded-For", "GET", None)):
            began = time.monotonic()
            assert_unharmed(api, api.ask(method, path, body, headers={name: line}), began, (name, text))
        began = time.monotonic()
        made = api.ask("POST", "/websites", {"url": "https://example.com/"}, headers={"Idempotency-Key": line})
        assert made.status == 409
        assert_unharmed(api, made, began, ("Idempotency-Key", text))
    assert_all_there(api, 1)


def test_every_option_is_kept_as_it_was_given_or_refused(api):
    schemas = api.ask("GET", "/openapi.json").json()["components"]["schemas"]
    options = schemas["WebsiteNew"]["properties"]
    texts = [name for name, schema in options.items() if schema.get("type") == "string"]
    lists = [name for name, schema in options.items() if schema.get("type") == "array"]
    assert len(texts) > 10 and len(lists) == 2
    kept = 0
    for number, (name, text) in enumerate(itertools.product([*texts, *lists], HOSTILE)):
        given = {"url": "https://example.com/", "name": f"site {number}", name: text if name in texts else [text]}
        began = time.monotonic()
        answer = api.ask("POST", "/websites", given)
        assert_unharmed(api, answer, began, (name, text))
        assert answer.status in (201, 403, 409, 422), (name, text, answer.status)
        if answer.status == 201:
            kept += 1
            assert answer.json()[name] == given[name], (name, text)
            assert api.ask("DELETE", f"/websites/{answer.json()['id']}").status == 204
    assert kept > 20
    assert_all_there(api, 0)
