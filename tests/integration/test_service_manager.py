"""What the programs tell a service manager (sd_notify), and what a journal is given."""

import re
import socket

import pytest

from stand import process


class Manager:
    """The end of a socket that systemd would hold."""

    def __init__(self, directory):
        self.path = directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.env = {"NOTIFY_SOCKET": str(self.path)}

    def wait_for(self, words, seconds=60):
        """Everything that was told until a message has these words."""
        self.socket.settimeout(seconds)
        told = []
        while not told or words not in told[-1]:
            told.append(self.socket.recv(4096).decode())
        return told


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path)
    yield manager
    manager.socket.close()


def test_a_producer_says_when_it_serves_lives_and_ends(programs, sited, manager):
    producer = programs("producer", "--url", sited.url("/ok?notify"), "--seconds", 1, "--output", "json",
                        "--listen", "off", env={**manager.env, "WATCHDOG_USEC": "400000"})
    assert manager.wait_for("READY=1")[0].startswith("READY=1")
    for _ in range(3):
        manager.wait_for("WATCHDOG=1")
    assert producer.process.poll() is None
    producer.terminate()
    manager.wait_for("STOPPING=1")


def test_a_producer_that_cannot_start_is_never_ready(programs, manager, tmp_path):
    producer = programs("producer", "--targets-file", tmp_path / "missing", "--output", "json", env=manager.env)
    assert producer.wait() == 2
    manager.socket.settimeout(0)
    with pytest.raises(BlockingIOError):
        manager.socket.recv(4096)


def test_a_consumer_says_that_it_waits_for_postgres_and_then_that_it_serves(pipeline, manager):
    """Ready is after the migrations: what is started after it finds the tables."""
    port = process.free_port()
    waiting = pipeline.consumer(**manager.env, POSTGRES_DSN=f"postgresql://x@127.0.0.1:{port}/x")
    assert manager.wait_for("STATUS=") == ["STATUS=waiting for Postgres"]
    waiting.terminate()
    consumer = pipeline.consumer(**manager.env, WATCHDOG_USEC="4000000")
    manager.wait_for("READY=1")
    assert pipeline.query("SELECT count(*) AS n FROM schema_migrations")[0]["n"] > 0
    manager.wait_for("WATCHDOG=1")
    consumer.terminate()
    manager.wait_for("STOPPING=1")


def test_an_api_says_when_it_serves_and_ends(pipeline, programs, manager):
    pipeline.consumer().wait_until_ready()
    api = programs("api", "--listen", "127.0.0.1:0", env={"POSTGRES_DSN": pipeline.env["POSTGRES_DSN"], **manager.env})
    manager.wait_for("READY=1")
    api.wait_for_line("msg=serving")
    api.terminate()
    manager.wait_for("STOPPING=1")


def test_a_log_that_no_journal_reads_has_no_priorities(programs, sited):
    producer = programs("producer", "--url", sited.url("/ok?journal"), "--output", "json", "--listen", "off",
                        env={"JOURNAL_STREAM": "1:2"})
    line = producer.wait_for_line("level=info")
    assert re.match("time=", line)
