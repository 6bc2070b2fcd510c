"""A container engine for the tests: the one that answers, or one that can be had."""

import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
UP_SECONDS = 900


def answers(env):
    if shutil.which("docker", path=env.get("PATH")) is None:
        return False
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        if subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          check=False).returncode != 0:
            return False
    return True


def start():
    """(environment, None), or (None, why there is none). A directory with a script `up`, that says
    `ready: . FILE` of a file to source, is tried where no engine answers: CONTAINER_ENGINE, or one called
    shared/engine beside the checkout."""
    if answers(dict(os.environ)):
        return dict(os.environ), None
    script = pathlib.Path(os.environ.get("CONTAINER_ENGINE", ROOT.parent / "shared" / "engine")) / "up"
    if not script.exists():
        return None, "no container engine answers (docker info, docker compose version)"
    try:
        up = subprocess.run(["bash", script], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=UP_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None, f"{script} is not done after {UP_SECONDS} s"
    ready = re.search(r"ready: \. (\S+)", up.stderr)
    if up.returncode != 0 or not ready:
        return None, f"{script} failed: {up.stderr.strip()[-200:]}"
    env = subprocess.run(["bash", "-c", f". {ready.group(1)} && env -0"], stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, check=True).stdout
    return dict(line.partition("=")[::2] for line in env.split("\0") if line), None
