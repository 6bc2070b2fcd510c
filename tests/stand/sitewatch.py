"""Start the programs under test, read what they say, and stop them."""

import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request

from . import process

# What a sanitizer's report holds, whichever it is.
REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|: runtime error: |"
                    r"SUMMARY: \w+Sanitizer")
ADMIN = re.compile(r'msg="admin endpoint".*?(?:address=\S*?:|port=)(\d+)')
SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)(?: \S+)?$")


def binary(name):
    return str(process.ROOT / os.environ.get("SITEWATCH_BIN", "build/bin") / name)


def parse_metrics(text):
    """{'name{labels}': value} of an OpenMetrics text."""
    assert text.endswith("# EOF\n"), "the exposition is cut off"
    samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, f"not a sample: {line!r}"
            samples[match.group(1)] = float(match.group(2))
    return samples


def metric_sum(samples, name, **labels):
    """The sum over all series of a family that carry these labels."""
    total = 0.0
    for series, value in samples.items():
        family, _, rest = series.partition("{")
        if family == name and all(f'{k}="{v}"' in rest for k, v in labels.items()):
            total += value
    return total


def histogram_quantile(samples, name, quantile):
    """The upper bound of the bucket that holds the quantile; labels are summed over."""
    buckets = {}
    for series, value in samples.items():
        match = re.match(re.escape(name) + r'_bucket\{.*?le="([^"]+)".*\}$', series)
        if match:
            bound = float(match.group(1))
            buckets[bound] = buckets.get(bound, 0) + value
    assert buckets, f"no histogram {name}"
    wanted = buckets[max(buckets)] * quantile
    return min(bound for bound, count in buckets.items() if count >= wanted)


class Program:
    """A producer or consumer that runs. Its stderr is kept in `lines` and in a log file."""

    def __init__(self, name, args=(), env=None, logs=None, number=0, inside=()):
        self.name = name
        self.log = pathlib.Path(logs) / f"{number:02}-{name}.log"
        self.lines = []
        self.out_path = self.log.with_suffix(".out")
        self._said = threading.Condition()
        with self.out_path.open("wb") as out:
            self.process = process.start([*inside, binary(name), *map(str, args)], stdout=out,
                                         stderr=subprocess.PIPE, env=process.clean_environment(**(env or {})))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with self.log.open("wb") as log:
            for raw in self.process.stderr:
                log.write(raw)
                log.flush()
                with self._said:
                    self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                    self._said.notify_all()

    @property
    def pid(self):
        return self.process.pid

    def stdout(self):
        return self.out_path.read_text(encoding="utf-8")

    def events(self):
        """stdout of --output json, but for a line that is still being written."""
        text = self.stdout()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def has_line(self, pattern):
        return [line for line in list(self.lines) if re.search(pattern, line)]

    def wait_for_line(self, pattern, seconds=20.0, count=1):
        """The count-th line that matches; fails early when the program ends without it."""
        with self._said:
            def there():
                return len(self.has_line(pattern)) >= count or not self._reader.is_alive()
            self._said.wait_for(there, seconds)
        found = self.has_line(pattern)
        if len(found) < count:
            raise process.Timeout(f"{self.name} did not say {pattern!r} ({count} times) within "
                                  f"{seconds:g} s:\n" + "\n".join(self.lines[-20:]))
        return found[count - 1]

    def admin_url(self, path):
        port = ADMIN.search(self.wait_for_line(ADMIN)).group(1)
        return f"http://127.0.0.1:{port}{path}"

    def get(self, path):
        """(status, body) of the admin endpoint."""
        try:
            with urllib.request.urlopen(self.admin_url(path), timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self):
        status, text = self.get("/metrics")
        assert status == 200
        return parse_metrics(text)

    def wait_until_ready(self, seconds=30.0):
        def ready():
            assert self.process.poll() is None, "\n".join(self.lines[-20:])
            return self.get("/readyz")[0] == 200
        process.wait_for(ready, f"{self.name} to be ready", seconds)
        return self

    def has_thread(self, name):
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        return any(comm.read_text().strip() == name for comm in tasks.glob("*/comm"))

    def signal(self, sig):
        self.process.send_signal(sig)

    def wait(self, seconds=30.0):
        """Exit status, when it ends by itself."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise process.Timeout(f"{self.name} did not end within {seconds:g} s:\n"
                                  + "\n".join(self.lines[-20:])) from None
        self._reader.join(10)
        return self.process.returncode

    def terminate(self, seconds=30.0):
        """SIGTERM, and a clean end is asserted."""
        self.signal(signal.SIGTERM)
        status = self.wait(seconds)
        assert status == 0, f"{self.name} ended with {status}:\n" + "\n".join(self.lines[-30:])

    def kill(self):
        self.process.kill()
        self.wait()

    def close(self):
        """Whatever a test left running ends here; its log is then searched."""
        try:
            process.stop(self.process, signal.SIGTERM, 60)
        finally:
            self._reader.join(10)
            self.process.stderr.close()

    def reports(self):
        return [line for line in self.lines if REPORT.search(line)]


def run(name, *args, env=None, seconds=60.0):
    """One run to the end: a CompletedProcess with text output, searched for reports."""
    done = subprocess.run([binary(name), *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=seconds, check=False,
                          env=process.clean_environment(**(env or {})))
    done.stdout = done.stdout.decode("utf-8")
    done.stderr = done.stderr.decode("utf-8")
    assert not REPORT.search(done.stderr), done.stderr
    return done
