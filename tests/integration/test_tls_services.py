"""Kafka with mutual TLS and Postgres with TLS: it works, and what is wrong is one line that says what to do."""

import re
import shutil

import pytest
from conftest import Pipeline

from stand import kafka as kafka_module, postgres as postgres_module, process, sitewatch

PASSWORD = "correct horse"

# Files are looked at every 5 s.
RENEWAL_SECONDS = 60

pytestmark = pytest.mark.own_servers


@pytest.fixture(scope="module")
def tls_kafka(certs):
    broker = kafka_module.Kafka(certs=certs)
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def tls_postgres(certs):
    server = postgres_module.Postgres(certs=certs)
    server.query("postgres", f"CREATE ROLE app LOGIN CREATEDB PASSWORD '{PASSWORD}'")
    yield server
    server.close()


class Put:
    """A directory with ca.pem, service.cert and service.key, filled from the stand's certificates."""

    def __init__(self, certs, directory):
        self.certs, self.directory = certs, directory
        directory.mkdir()
        self("client", "ca")

    def __call__(self, client="client", ca="ca"):
        for source, target in ((f"{client}.key", "service.key"), (f"{client}.pem", "service.cert"),
                               (f"{ca}.pem", "ca.pem")):
            shutil.copy(self.certs / source, self.directory / target)

    def env(self):
        """The broker listens on 127.0.0.1 alone, and localhost may be ::1 first."""
        return {"KAFKA_CAFILE": self.directory / "ca.pem", "KAFKA_CERTFILE": self.directory / "service.cert",
                "KAFKA_KEYFILE": self.directory / "service.key", "KAFKA_PROPERTIES": "broker.address.family=v4"}


@pytest.fixture
def certificates(certs, tmp_path):
    return Put(certs, tmp_path / "kafka")


def dsn(server, certs, database, **more):
    words = {"host": "localhost", "hostaddr": "127.0.0.1", "port": server.port, "user": "app", "dbname": database,
             "password": f"'{PASSWORD}'", "sslmode": "verify-full", "sslrootcert": certs / "ca.pem", **more}
    return " ".join(f"{name}={value}" for name, value in words.items() if value is not None)


@pytest.fixture
def secured(tls_kafka, tls_postgres, programs, tmp_path, certificates, certs):
    """A pipeline whose programs come through TLS alone, with its tables in a schema of their own."""
    made = Pipeline(tls_kafka, tls_postgres, programs, tmp_path)
    tls_postgres.query("postgres", f'CREATE DATABASE "{made.database}" OWNER app')
    tls_postgres.query(made.database, "CREATE SCHEMA sitewatch AUTHORIZATION app")
    made.env.update(certificates.env(), KAFKA_BOOTSTRAP_SERVERS=tls_kafka.tls_bootstrap, POSTGRES_DSN=dsn(
        tls_postgres, certs, made.database, options="'-c search_path=sitewatch'"))
    yield made
    programs.close()
    made.close()


def stored(pipeline):
    found = pipeline.query("SELECT to_regclass('sitewatch.checks') AS t")[0]["t"]
    return pipeline.query("SELECT count(*) AS n FROM sitewatch.checks")[0]["n"] if found else 0


def errors(program):
    return [line for line in program.lines if "level=error" in line]


def test_events_come_through_mutual_tls_into_the_schema_of_the_dsn(secured, sited):
    consumer = secured.consumer().wait_until_ready(60)
    producer = secured.producer("--url", sited.url("/ok?tls"), "--seconds", 1)
    process.wait_for(lambda: stored(secured) >= 2, "rows in the schema", 60)
    assert not secured.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
    producer.terminate()
    consumer.terminate()
    assert not errors(producer) and not errors(consumer)


def test_a_schema_that_does_not_exist_is_named(secured, tls_postgres, certs):
    bad = dsn(tls_postgres, certs, secured.database, options="'-c search_path=nowhere'")
    done = sitewatch.run("consumer", "migrate", env={**secured.env, "POSTGRES_DSN": bad})
    assert done.returncode == 1
    assert re.search(r"^consumer: no schema of the search_path, nowhere, .*CREATE SCHEMA", done.stderr), done.stderr


# name, what is changed, what the one line says
KAFKA_FAULTS = (
    ("another CA", {"ca": "other-ca"},
     r"certificate of a Kafka broker is refused.*put the CA that signed the broker's certificate into kafka-cafile"),
    ("a certificate of ours that has expired", {"client": "client-old"},
     r"our certificate for Kafka has expired.*put a renewed one into kafka-certfile"),
    ("a certificate of ours by another authority", {"client": "client-odd"},
     r"librdkafka says.*fix=\"the broker .*kafka-certfile \(KAFKA_CERTFILE\)"),
    ("no certificate of ours", {"env": {"KAFKA_CERTFILE": "", "KAFKA_KEYFILE": ""}},
     r"librdkafka says.*fix=\"the broker wants a client certificate.*kafka-certfile"),
    ("a broker of another name", {"server": "wrong_host_bootstrap"},
     r"certificate of a Kafka broker is refused.*certificate is of another host"),
    ("a port without TLS", {"server": "bootstrap"},
     r"librdkafka says.*fix=\"the port speaks no TLS"),
    ("no TLS to a port that wants it", {"env": {"KAFKA_CAFILE": "", "KAFKA_CERTFILE": "", "KAFKA_KEYFILE": ""}},
     r"librdkafka says.*fix=\"the port speaks TLS: set kafka-cafile"),
)


def test_each_fault_of_kafkas_tls_is_a_line_that_says_what_to_do(tls_kafka, programs, certs, tmp_path, sited):
    waiting = []
    for number, (name, change, says) in enumerate(KAFKA_FAULTS):
        put = Put(certs, tmp_path / str(number))
        put(change.get("client", "client"), change.get("ca", "ca"))
        env = {**put.env(), "KAFKA_BOOTSTRAP_SERVERS": getattr(tls_kafka, change.get("server", "tls_bootstrap")),
               "LISTEN": "127.0.0.1:0", **change.get("env", {})}
        waiting.append((name, says, programs("producer", "--url", sited.url("/ok?fault"), "--drain-seconds", 0, env=env)))
    for name, says, program in waiting:
        assert program.wait_for_line(says, 30), name
    for name, _, program in waiting:
        assert program.process.poll() is None, f"{name}: it ended, although it can be mended without it"
        said = errors(program)
        print(name, *said, sep="\n")
        assert len(said) <= 2, (name, said)


SETTINGS_FAULTS = (
    ("a key of another certificate", ("service.key", "good.key"), r"kafka-keyfile .*is not the key of the certificate in"),
    ("a certificate that is none", ("service.cert", "good.key"), r"kafka-certfile .*no certificate in it"),
    ("a key that is none", ("service.key", "good.pem"), r"kafka-keyfile .*no key in it"),
    ("a CA that is none", ("ca.pem", "good.key"), r"kafka-cafile .*no certificate in it"),
)


@pytest.mark.parametrize("name, swap, says", SETTINGS_FAULTS, ids=[row[0] for row in SETTINGS_FAULTS])
def test_files_that_cannot_be_used_end_the_program_at_its_start(certificates, certs, name, swap, says):
    shutil.copy(certs / swap[1], certificates.directory / swap[0])
    done = sitewatch.run("producer", "--url", "http://127.0.0.1:1/", env=certificates.env())
    assert done.returncode == 2 and re.search(says, done.stderr), (name, done.stderr)
    assert len(done.stderr.splitlines()) == 1


POSTGRES_FAULTS = (
    ("another CA", {"sslrootcert": "other-ca"}, r"certificate verify failed.*the file of sslrootcert"),
    ("a server of another name", {"host": "db.example"}, r"does not match host name.*; fix .*name the server as its certificate does"),
    ("a wrong password", {"password": "wrong"}, r"password authentication failed.*the user or the password is not right"),
    ("no TLS to a server that wants it", {"sslmode": "disable", "sslrootcert": None}, r"no encryption.*sslmode=verify-full"),
    ("a port without TLS", {"port": None}, r"server does not support SSL.*a port that speaks TLS"),
)


def test_each_fault_of_postgres_is_a_line_that_says_what_to_do(tls_postgres, postgres, kafka, programs, certs):
    waiting = []
    for name, change, says in POSTGRES_FAULTS:
        change = dict(change)
        if change.get("sslrootcert"):
            change["sslrootcert"] = certs / f"{change['sslrootcert']}.pem"
        if "port" in change:
            change["port"] = postgres.port
        env = {"POSTGRES_DSN": dsn(tls_postgres, certs, "postgres", **change), "LISTEN": "127.0.0.1:0",
               "API_LISTEN": "127.0.0.1:0", "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}
        for program in ("consumer", "api"):
            waiting.append((name, says, programs(program, env=env)))
    for name, says, program in waiting:
        line = program.wait_for_line(r"waiting for Postgres", 30)
        assert re.search(says, line) and "POSTGRES_DSN" in line and PASSWORD not in line, (name, line)
        assert program.process.poll() is None, name
    done = sitewatch.run("consumer", "migrate", env={**env, "POSTGRES_DSN": dsn(
        tls_postgres, certs, "postgres", password="wrong")})
    assert done.returncode == 1 and re.search(POSTGRES_FAULTS[2][2], done.stderr), done.stderr


def test_a_ca_of_postgres_that_is_not_there_ends_the_program_at_its_start(tls_postgres, certs):
    env = {"POSTGRES_DSN": dsn(tls_postgres, certs, "postgres", sslrootcert="/nowhere/ca.pem")}
    for program in ("consumer", "api"):
        done = sitewatch.run(program, env=env)
        assert done.returncode == 2
        assert "postgres-dsn (POSTGRES_DSN): sslrootcert: /nowhere/ca.pem: No such file" in done.stderr


def test_renewed_certificates_are_taken_up_by_programs_that_run(secured, sited, certificates, tls_postgres, certs, tmp_path):
    certificates("client-old")
    ca = tmp_path / "postgres-ca.pem"
    shutil.copy(certs / "ca.pem", ca)
    secured.env["POSTGRES_DSN"] = dsn(tls_postgres, certs, secured.database, sslrootcert=ca,
                                      options="'-c search_path=sitewatch'")
    consumer = secured.consumer()
    producer = secured.producer("--url", sited.url("/ok?renewed"), "--seconds", 1)
    for program in (consumer, producer):
        program.wait_for_line("our certificate for Kafka has expired")
    assert stored(secured) == 0

    # First a certificate whose key has not come yet, then both.
    shutil.copy(certs / "client.pem", certificates.directory / "service.cert")
    producer.wait_for_line("renewed files for Kafka cannot be used.*is not the key", RENEWAL_SECONDS)
    certificates("client")
    for program in (consumer, producer):
        program.wait_for_line("files for Kafka were renewed", RENEWAL_SECONDS)
    process.wait_for(lambda: stored(secured) >= 2, "rows after the renewal", 60)

    # The server's certificate and its CA: the next connection reads them.
    tls_postgres.use_certificate(certs, "untrusted")
    shutil.copy(certs / "other-ca.pem", ca)
    try:
        tls_postgres.reload()
        tls_postgres.query("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
        before = stored(secured)
        process.wait_for(lambda: stored(secured) >= before + 2, "rows after the server's renewal", 60)
    finally:
        tls_postgres.use_certificate(certs, "good")
        tls_postgres.reload()

    producer.terminate()
    consumer.wait_until_ready()
    process.wait_for(lambda: stored(secured) == secured.published(), "each event once", 60)
    consumer.terminate()


def test_a_topic_that_is_missing_is_named_with_the_command_that_makes_it(secured, tls_kafka, sited):
    tls_kafka.delete_topics(secured.success, secured.dead_letters)
    consumer = secured.consumer()
    producer = secured.producer("--url", sited.url("/ok?topic"), "--seconds", 1,
                                KAFKA_PROPERTIES="topic.metadata.propagation.max.ms=2000")
    says = rf"no such topic.*consumer migrate --topics makes it.*topic={secured.success}"
    producer.wait_for_line(says, 60)
    consumer.wait_for_line(says, 60)
    done = sitewatch.run("consumer", "migrate", "--topics", "--replication-factor", 1, env={
        **secured.env, "KAFKA_TOPIC_SITES": f"sites-{secured.id}"})
    assert done.returncode == 0 and f"{secured.success}: made" in done.stdout, done.stdout + done.stderr
    process.wait_for(lambda: stored(secured) >= 1, "rows once the topic is there", 90)
    producer.terminate()
    consumer.terminate()
