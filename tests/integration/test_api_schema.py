"""schemathesis asks the api everything that /openapi.json says it takes, and more."""

import os
import pathlib

from stand import schema

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
