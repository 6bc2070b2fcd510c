"""The same sources give the same program, wherever and whenever they are built. Needs no engine."""

import subprocess
import tarfile

from stand import process

ROOT = process.ROOT


def output(*command, cwd=ROOT):
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_program_built_elsewhere_is_the_same(tmp_path):
    elsewhere = tmp_path / "another" / "place"
    elsewhere.mkdir(parents=True)
    version = output("git", "describe", "--tags", "--always", "--dirty").decode().strip()
    files = output("git", "ls-files", "-co", "--exclude-standard", "Makefile", "common", "api").decode().split("\n")
    with tarfile.open(tmp_path / "sources.tar", "w") as sources:
        for name in filter(None, files):
            sources.add(ROOT / name, name)
    with tarfile.open(tmp_path / "sources.tar") as sources:
        sources.extractall(elsewhere)
    output("make", "-s", "-j2", f"VERSION={version}", "build/bin/api")
    output("make", "-s", "-j2", f"VERSION={version}", "build/bin/api", cwd=elsewhere)
    assert (ROOT / "build/bin/api").read_bytes() == (elsewhere / "build/bin/api").read_bytes()
    assert str(ROOT).encode() not in (ROOT / "build/bin/api").read_bytes()
