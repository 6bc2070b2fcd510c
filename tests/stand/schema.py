"""schemathesis against an api that has something to show: does it do what /openapi.json says?"""

import subprocess

from . import fetch, process


def fill(api):
    """Of each kind one, with the id 1, so that each operation has something to find."""
    site = api.post(url="https://example.com/", name="first", seconds=30, tags=["a"])
    api.query("INSERT INTO locations (name) VALUES ('here') RETURNING 1")
    api.query("SELECT checks_make_day(now()::date)")
    api.query("INSERT INTO checks (website_id, slot, checked_at, lag_us, response_time_us, location_id, attempt,"
              " http_status, final, status, observer)"
              " SELECT %s, now() - i * interval '1 second', now(), 5, 1500, location_id, 1, 200, true, 'up', 'host'"
              " FROM locations, generate_series(0, 20) i RETURNING 1", site["id"])
    api.query("INSERT INTO incidents (website_id, opened_slot, location_id, checks, withdrawn, error_type)"
              " SELECT %s, now(), location_id, 1, false, 'status' FROM locations RETURNING 1", site["id"])
    api.query("INSERT INTO dead_letters (\"offset\", payload_bytes, partition, in_topic, topic, reason, detail, payload,"
              " payload_sha256) VALUES (0, 1, 0, true, 'checks-success', 'json', 'is no JSON', 'x', sha256('x')) RETURNING 1")
    return site


def run(api, seconds, seed, log):
    """The exit status of schemathesis, 0 when it found nothing; what it says goes to `log`."""
    command = [fetch.tools() / "bin" / "schemathesis", "--config-file", process.ROOT / "tests" / "schemathesis.toml",
               "run", f"http://127.0.0.1:{api.port}/openapi.json",
               "--header", f"Authorization: Bearer {api.write}", "--checks", "all",
               "--max-time", str(seconds), "--seed", str(seed), "--continue-on-failure", "--no-color",
               "--exclude-operation-id", "readEvents",  # it has no end
               "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off"]
    with open(log, "wb") as out:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                              check=False, timeout=seconds + 300, cwd=log.parent).returncode
