"""A real Prometheus of a test's own: its targets, its directory, a free port."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from . import process

CONFIG = """
global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
scrape_configs:
"""

TARGET = """
  - job_name: {name}
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


class Prometheus:
    """Scrapes each program of {name: port}; rules is a file of rules, or None."""

    def __init__(self, directory, targets, rules=None):
        self.port = process.free_port()
        config = directory / "prometheus.yml"
        config.write_text((f'rule_files: ["{rules}"]' if rules else "") + CONFIG + "".join(
            TARGET.format(name=name, port=port) for name, port in targets.items()))
        self.log = (directory / "prometheus.log").open("wb")
        self.process = process.start([
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=subprocess.STDOUT)
        process.wait_for(self._is_ready, "Prometheus to be ready", 30)

    def _is_ready(self):
        assert self.process.poll() is None, f"see {self.log.name}"
        try:
            return self._get("/-/ready") is not None
        except (urllib.error.URLError, ConnectionError):
            return False

    def _get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read()

    def api(self, path, **parameters):
        answer = json.loads(self._get(f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        """[(labels, value)] of an instant vector."""
        return [(row["metric"], float(row["value"][1]))
                for row in self.api("query", query=expression)["result"]]

    def close(self):
        process.stop(self.process)
        self.log.close()
