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
SECONDS = 15


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

    def states():
        asked = urllib.request.Request(f"{address}overview", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return {site["name"]: site["state"] for site in json.load(answer)["sites"]}

    process.wait_for(lambda: states() == {"shop": "up", "blog": "up", "slow": "degraded", "broken": "down"},
                     "the four sites to be judged", SECONDS, 0.2)
    assert started.wait(90) == 0, "".join(lines)
    assert f"dashboard: {address}" in "".join(lines)
