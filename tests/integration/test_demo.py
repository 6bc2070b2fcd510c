"""The demo: its sites are stored, and its dashboard answers at the address that it prints."""

import json
import os
import re
import subprocess
import threading
import urllib.request

import pytest

from stand import process

RUN = process.ROOT / "deploy" / "demo" / "run.sh"
BUILD = os.path.dirname(os.environ.get("SITEWATCH_BIN", "build/bin"))
SECONDS = 20


@pytest.fixture
def demo():
    """It, with what it has printed so far."""
    environment = {**process.clean_environment(), "BUILD": BUILD, "DEMO_SECONDS": str(SECONDS), "NO_COLOR": "1"}
    started = process.start(["bash", str(RUN)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=environment)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(started.stdout.readline, "")), daemon=True)
    reader.start()
    yield started, lines
    process.stop(started, seconds=60)
    reader.join(10)
    started.stdout.close()


def test_the_demo_stores_its_sites_and_serves_its_dashboard(demo):
    started, lines = demo
    said = process.wait_for(lambda: re.search(r"the dashboard is at (\S+), and its token is (\S+)", "".join(lines)),
                            "the dashboard's address", 90)
    address, token = said.groups()
    with urllib.request.urlopen(address, timeout=10) as page:
        assert "<title>Sitewatch</title>" in page.read().decode()

    def told(path, body=None):
        asked = urllib.request.Request(address + path, body and json.dumps(body).encode(),
                                       {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)

    def states():
        return {site["name"]: site["state"] for site in told("overview")["sites"]}

    def programs():
        return {item["part"] for item in told("pipeline")["items"] if item["what"] == "ready" and item["state"] == "well"}

    process.wait_for(lambda: states() == {"shop": "up", "blog": "up", "slow": "degraded", "broken": "down"},
                     "the four sites to be judged", SECONDS, 0.2)
    process.wait_for(lambda: programs() == {"consumer", "producer"}, "the programs to be seen", SECONDS, 0.2)
    told("websites", {"url": "http://127.0.0.1:9/", "name": "added"})
    process.wait_for(lambda: states().get("added") == "down", "the site that was added to be checked", SECONDS, 0.2)
    assert started.wait(90) == 0, "".join(lines)
    assert f"dashboard: {address}" in "".join(lines)
