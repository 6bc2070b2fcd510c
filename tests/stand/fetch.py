"""What tests need of the registries of Maven, npm and Python: each fetched once, into build/."""

import fcntl
import os
import pathlib
import subprocess
import sys
import time

from . import process

TESTS = pathlib.Path(__file__).resolve().parents[1]
BUILD = process.ROOT / "build"
PAUSES = (5, 20, 60)  # seconds before the second try, the third, the fourth
SECONDS_MAX = 300
TAIL_LINES = 20


class FetchError(Exception):
    """A command failed as often as it was tried; the text ends with what it said last."""


def _succeed(command, cwd, pauses):
    """A registry, or what is between it and here, may fail for a moment."""
    for pause in (*pauses, None):
        try:
            done = subprocess.run([*map(str, command)], cwd=cwd, stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS_MAX)
            if done.returncode == 0:
                return
            status, output = f"exit status {done.returncode}", done.stdout
        except subprocess.TimeoutExpired as e:
            status, output = f"not done after {SECONDS_MAX} s", (e.stdout or b"").decode(errors="replace")
        tail = "\n".join(output.splitlines()[-TAIL_LINES:])
        if pause is None:
            raise FetchError(f"{command[0]}: {status}, tried {len(pauses) + 1} times\n{tail}")
        print(f"{command[0]}: {status}, again in {pause} s\n{tail}", file=sys.stderr, flush=True)
        time.sleep(pause)


def fetch(target, wanted, *commands, pauses=PAUSES):
    """Have the folder `target` hold what the text `wanted` names, by commands that run in it; what is there is
    kept. One process at a time: two that fetch at once spoil each other's work."""
    target.mkdir(parents=True, exist_ok=True)
    done = target / ".complete"
    with open(f"{target}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text(encoding="utf-8") != wanted:
            done.unlink(missing_ok=True)
            for command in commands:
                _succeed(command, target, pauses)
            done.write_text(wanted, encoding="utf-8")
    return target


def kafka():
    """The folder with Kafka's jars. KAFKA_LIBS names another than build/kafka-libs."""
    pom = TESTS / "stand" / "kafka" / "pom.xml"
    libs = pathlib.Path(os.environ.get("KAFKA_LIBS") or BUILD / "kafka-libs").absolute()
    # -U: Maven remembers what it could not have, and would not ask again.
    return fetch(libs, pom.read_text(encoding="utf-8"), [
        "mvn", "-q", "-B", "-U", "-Dstyle.color=never", "-f", pom, "dependency:copy-dependencies",
        f"-DoutputDirectory={libs}"])


def web():
    """The folder with what drives the browser, as package-lock.json names it."""
    lock = TESTS / "web" / "package-lock.json"
    return fetch(BUILD / "web-tests", lock.read_text(encoding="utf-8"), ["cp", lock.parent / "package.json", lock, "."],
                 ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])


def tools():
    """The folder of a Python environment with what requirements.txt names. TOOLS names another than build/tools."""
    names = TESTS / "requirements.txt"
    environment = pathlib.Path(os.environ.get("TOOLS") or BUILD / "tools").absolute()
    return fetch(environment, names.read_text(encoding="utf-8"), [sys.executable, "-m", "venv", environment], [
        environment / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", names])
