"""What tests fetch from registries: tried again when it fails, by one process at a time, and kept."""

import pathlib
import subprocess
import sys

import pytest

from stand import fetch

TESTS = pathlib.Path(__file__).resolve().parents[1]


def sh(script):
    return ["sh", "-c", script]


def test_what_fails_is_tried_again_and_what_is_there_is_kept(tmp_path, capfd):
    target = tmp_path / "kept"
    third_time = sh("echo once more >>tries; echo no answer; [ $(wc -l <tries) -eq 3 ]")
    assert fetch.fetch(target, "1", third_time, pauses=(0, 0)) == target
    assert capfd.readouterr().err.count("sh: exit status 1, again in 0 s\nno answer\n") == 2
    fetch.fetch(target, "1", sh("rm tries"))
    assert len((target / "tries").read_text().splitlines()) == 3
    fetch.fetch(target, "2", sh("rm tries"))
    assert not (target / "tries").exists()


def test_what_keeps_failing_is_said_and_not_taken_for_there(tmp_path):
    target = tmp_path / "never"
    with pytest.raises(fetch.FetchError, match="^sh: exit status 3, tried 2 times\nno such host$"):
        fetch.fetch(target, "1", sh("echo no such host; exit 3"), sh("touch second"), pauses=(0,))
    assert not (target / "second").exists()
    fetch.fetch(target, "1", sh("touch here"))
    assert (target / "here").exists()


def test_two_at_once_fetch_it_once(tmp_path):
    script = f"""import pathlib, sys
sys.path.insert(0, {str(TESTS)!r})
from stand import fetch
fetch.fetch(pathlib.Path({str(tmp_path / 'shared')!r}), "1", ["sh", "-c", "echo run >>runs; sleep 0.3"])"""
    both = [subprocess.Popen([sys.executable, "-B", "-c", script]) for _ in range(2)]
    assert [child.wait(30) for child in both] == [0, 0]
    assert (tmp_path / "shared" / "runs").read_text() == "run\n"
