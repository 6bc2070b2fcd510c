"""The integration tests in C (tests/integration/*_test.c), each with a database of its own."""

import os
import pathlib
import re
import subprocess

import pytest

from stand import process, sitewatch

SOURCES = sorted(pathlib.Path(__file__).parent.glob("*_test.c"))


@pytest.mark.parametrize("source", SOURCES, ids=[p.stem for p in SOURCES])
def test_c_program(source, postgres):
    tree = process.ROOT / pathlib.Path(os.environ.get("SITEWATCH_BIN", "build/bin")).parent
    database = f"c_{source.stem}"
    postgres.query("postgres", f"DROP DATABASE IF EXISTS {database}")
    postgres.query("postgres", f"CREATE DATABASE {database}")
    done = subprocess.run([tree / "tests/integration" / source.stem], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=200, check=False,
                          env=process.clean_environment(TEST_POSTGRES_DSN=postgres.dsn(database)))
    said = done.stdout + done.stderr
    print(said)
    assert done.returncode == 0, said
    assert "SKIPPED" not in said and re.search(r"PASSED *\] [1-9]", said), said
    assert not sitewatch.REPORT.search(said), said
