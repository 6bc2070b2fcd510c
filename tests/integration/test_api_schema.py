"""schemathesis asks the api everything that /openapi.json says it takes, and more."""

import os
import pathlib
import re

from stand import process, schema

SECONDS = int(os.environ.get("SCHEMA_SECONDS", "30"))
SEED = int(os.environ.get("SCHEMA_SEED", "1"))


def test_schemathesis_finds_nothing(api_database, logs):
    api = api_database.start("--api-rate", "0", "--api-public-tag", "a")
    schema.fill(api)
    log = pathlib.Path(logs) / "schemathesis.log"
    status = schema.run(api, SECONDS, SEED, log)
    assert status == 0, log.read_text(encoding="utf-8")[-20000:]
    assert api.program.process.poll() is None
    api.program.terminate()


def test_the_page_of_the_api_has_every_request(api_database):
    page = (process.ROOT / "docs/api.md").read_text(encoding="utf-8")
    described = api_database.start().ask("GET", "/openapi.json").json()["paths"]
    asked = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods
             if not re.search(r"^/web/|\.(css|js)$", path)}
    told = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`?]*)", page))
    told |= {f"GET {path}" for path in re.findall(r"`(/[^`?]*)`", page)}
    assert len(asked) >= 20
    assert not asked - told, "not in docs/api.md"
