"""What is written of Terraform's outputs. The files of Terraform themselves: deploy/prod/terraform/check.sh."""

import stat
import subprocess

import pytest

from stand import process

SCRIPT = process.ROOT / "deploy/prod/terraform/write-files.sh"
FILES = {".env": "env", "certificates/kafka/ca.pem": "kafka_ca", "certificates/kafka/service.cert": "kafka_cert",
         "certificates/kafka/service.key": "kafka_key", "certificates/postgres/ca.pem": "postgres_ca"}


@pytest.fixture
def write(tmp_path):
    """A tofu that says what it was asked for, but for the output `without`."""
    def run(directory, without=""):
        tofu = tmp_path / "tofu"
        tofu.write_text(f"#!/bin/bash\n[ \"$*\" != 'output -raw {without}' ] || exit 1\necho \"made: $*\"\n")
        tofu.chmod(0o755)
        return subprocess.run([SCRIPT, directory], env=process.clean_environment(TOFU=tofu), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return run


def test_the_env_and_the_certificates_are_written_for_their_owner_alone(tmp_path, write):
    (tmp_path / "site").mkdir()
    done = write(tmp_path / "site")
    assert done.returncode == 0, done.stderr
    for name, output in FILES.items():
        path = tmp_path / "site" / name
        assert path.read_text() == f"made: output -raw {output}\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert str(path) in done.stdout


def test_an_output_that_is_not_there_leaves_the_old_file(tmp_path, write):
    old = tmp_path / "certificates/kafka/service.key"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    assert write(tmp_path, without="kafka_key").returncode != 0
    assert old.read_text() == "old"


def test_a_directory_that_is_not_there_is_refused(tmp_path, write):
    done = write(tmp_path / "missing")
    assert done.returncode != 0 and "missing" in done.stderr
