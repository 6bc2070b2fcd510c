"""Fixtures: one Kafka, one Postgres and one sited a session; topics and database a test."""

import os
import pathlib
import re
import shutil
import signal
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import pytest  # noqa: E402

from stand import api as api_module  # noqa: E402
from stand import kafka as kafka_module  # noqa: E402
from stand import postgres as postgres_module  # noqa: E402
from stand import process, sites, sitewatch  # noqa: E402

TEST_SECONDS_MAX = int(os.environ.get("TEST_SECONDS_MAX", "240"))
LOGS = pathlib.Path(os.environ.get("SITEWATCH_TEST_LOGS", process.ROOT / "build" / "test-logs" / "programs"))


# A Kafka and a Postgres that run already are used instead of the stand's own; what stops or freezes
# them is left out then (deploy/test).
KAFKA = os.environ.get("SITEWATCH_TEST_KAFKA")
POSTGRES = os.environ.get("SITEWATCH_TEST_POSTGRES")


def pytest_configure(config):
    config.addinivalue_line("markers", "own_servers: needs a Kafka and a Postgres that it may stop")


def pytest_collection_modifyitems(config, items):
    if not (KAFKA or POSTGRES):
        return
    left_out = [item for item in items if item.get_closest_marker("own_servers")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def kafka():
    broker = kafka_module.Broker(KAFKA) if KAFKA else kafka_module.Kafka()
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def postgres():
    server = postgres_module.Server(POSTGRES) if POSTGRES else postgres_module.Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def sited():
    server = sites.Sited()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    return sites.make_certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture
def dnsd(tmp_path):
    """dnsd(zone) starts a name server (the format is in tests/stand/dnsmsg.h): "127.0.0.1:PORT"."""
    servers = []

    def start(zone):
        path = tmp_path / f"zone-{len(servers)}"
        path.write_text(zone, encoding="utf-8")
        servers.append(process.Server("dnsd", "--zone", str(path)))
        return f"127.0.0.1:{servers[-1].port}"

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(autouse=True)
def deadline():
    """A test that hangs fails, and the others go on."""

    def too_long(*_):
        raise process.Timeout(f"the test took more than {TEST_SECONDS_MAX} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_SECONDS_MAX)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def logs(request):
    """Where the programs of this test log; kept after it."""
    directory = LOGS / re.sub(r"\W+", "-", request.node.nodeid.rpartition("/")[2])
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


class Programs:
    """programs(name, *args, env=...) starts one; all of them end with the test."""

    def __init__(self, logs):
        self.logs = logs
        self.started = []
        self.late = []

    def __call__(self, name, *args, env=None, inside=()):
        self.started.append(sitewatch.Program(name, args, env, self.logs, len(self.started), inside))
        return self.started[-1]

    def close(self):
        for program in self.started:
            try:
                program.close()
            except process.Timeout as error:
                self.late.append(str(error))


@pytest.fixture
def no_kafka():
    """The environment of a producer whose broker does not exist."""
    refusing = sites.RefusingPort()
    yield {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{refusing.port}", "LISTEN": "127.0.0.1:0"}
    refusing.close()


@pytest.fixture
def programs(logs):
    started = Programs(logs)
    yield started
    started.close()
    reports = {str(p.log): p.reports() for p in started.started if p.reports()}
    assert not reports, f"sanitizer reports: {reports}"
    assert not started.late, started.late


class Pipeline:
    """Topics and a database of one test, and the programs set up for them."""

    def __init__(self, kafka, postgres, start, directory, partitions=4):
        self.kafka = kafka
        self.postgres = postgres
        self.start = start
        self.directory = directory
        self.id = uuid.uuid4().hex[:10]
        self.database = f"test_{self.id}"
        self.success = f"success-{self.id}"
        self.failure = f"failure-{self.id}"
        self.dead_letters = f"dead-letter-{self.id}"
        self.env = {
            "POSTGRES_DSN": postgres.dsn(self.database),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "KAFKA_TOPIC_SUCCESS": self.success,
            "KAFKA_TOPIC_FAILURE": self.failure,
            "KAFKA_TOPIC_DEAD_LETTER": self.dead_letters,
            "KAFKA_GROUP": f"group-{self.id}",
            "LISTEN": "127.0.0.1:0",
        }
        kafka.create_topic(self.success, partitions, max_message_bytes=4_000_000)
        kafka.create_topic(self.failure, partitions, max_message_bytes=4_000_000)
        kafka.create_topic(self.dead_letters)

    def producer(self, *args, **env):
        return self.start("producer", *args, env={**self.env, **env})

    def consumer(self, *args, **env):
        return self.start("consumer", *args, env={**self.env, **env})

    def query(self, sql, *values):
        return self.postgres.query(self.database, sql, *values)

    def checks(self, where="true", *values):
        """Rows of checks with their site's name, in order of their slots."""
        return self.query(
            "SELECT w.name, w.website_url, c.* FROM checks c JOIN websites w USING (website_id) "
            f"WHERE {where} ORDER BY c.slot, w.name", *values)

    def count(self, table="checks"):
        """Rows of a table, 0 while there is no such table."""
        if not self.postgres.has_database(self.database):
            return 0
        if self.query("SELECT to_regclass(%s) AS t", table)[0]["t"] is None:
            return 0
        return self.query(f"SELECT count(*) AS n FROM {table}")[0]["n"]

    def wait_for_rows(self, count, table="checks", seconds=30.0):
        process.wait_for(lambda: self.count(table) >= count, f"{count} rows in {table}", seconds, 0.05)

    def published(self):
        return sum(sum(self.kafka.end_offsets(t).values()) for t in (self.success, self.failure))

    def wait_until_stored(self, seconds=60.0):
        """Until every message that is in the topics now has been taken by the consumers."""
        wanted = {(t, p): end for t in (self.success, self.failure)
                  for p, end in self.kafka.end_offsets(t).items() if end > 0}

        def stored():
            rows = self.query("SELECT topic, partition, next_offset FROM kafka_offsets "
                              "WHERE consumer_group = %s", self.env["KAFKA_GROUP"])
            at = {(r["topic"], r["partition"]): r["next_offset"] for r in rows}
            return all(at.get(key, 0) >= end for key, end in wanted.items())

        process.wait_for(stored, "the consumers to take what is in the topics", seconds, 0.1)

    def targets_file(self, text, name="sites.conf"):
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path

    def close(self):
        self.kafka.delete_topics(self.success, self.failure, self.dead_letters)
        self.postgres.query("postgres", f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')


@pytest.fixture
def pipeline(kafka, postgres, programs, tmp_path):
    made = Pipeline(kafka, postgres, programs, tmp_path)
    yield made
    programs.close()
    made.close()


@pytest.fixture
def api_database(postgres, programs, request):
    database = "api_" + re.sub(r"\W+", "_", request.node.name)[:50].lower()
    yield api_module.Api(postgres, programs, database)
    programs.close()
    postgres.query("postgres", f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


@pytest.fixture
def api(api_database):
    return api_database.start()
