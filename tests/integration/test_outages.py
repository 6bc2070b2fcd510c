"""Outages of Postgres and Kafka, each as it happens: one clear line, and nothing lost or twice."""

import datetime
import re
import signal

import psycopg2
import pytest
from conftest import Pipeline

from stand import events, kafka as kafka_module, postgres as postgres_module, process, sitewatch

pytestmark = pytest.mark.own_servers

PAUSED = 'msg="cannot store, partitions are paused"'
EVERY = datetime.timedelta(seconds=1)


def produce(pipeline, name, count, partitions=4):
    """`count` checks of one site, over the partitions of the success topic."""
    first = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    pipeline.kafka.produce(pipeline.success, [
        {"value": events.encode(events.make(name, first + i * EVERY)), "partition": i % partitions}
        for i in range(count)])


def assert_stored_once(pipeline, count, consumer):
    pipeline.wait_until_stored()
    assert pipeline.count() == count
    assert pipeline.count("dead_letters") == 0
    assert sitewatch.metric_sum(consumer.metrics(), "sitewatch_duplicates_total") == 0


REFUSE = """CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NULL; END $$;
CREATE TRIGGER planted BEFORE INSERT ON checks FOR EACH STATEMENT EXECUTE FUNCTION planted()"""
MEND = "DROP TRIGGER planted ON checks"

# name: how it begins, how it ends, and what is said of it; {role} is the consumer's.
OUTAGES = {
    "the disk is full": (
        REFUSE.format("RAISE 'could not extend file' USING ERRCODE = 'disk_full';"), MEND,
        r"could not extend file \(53100\)"),
    "a statement takes too long": (
        REFUSE.format("PERFORM pg_sleep(30);"), MEND, r"statement timeout \(57014\)"),
    "a right is taken away": (
        "REVOKE INSERT ON checks FROM {role}", "GRANT INSERT ON checks TO {role}",
        r"permission denied for table checks \(42501\)"),
    "a table is renamed": (
        "ALTER TABLE dead_letters RENAME TO elsewhere; ALTER TABLE checks RENAME TO checks_elsewhere",
        "ALTER TABLE elsewhere RENAME TO dead_letters; ALTER TABLE checks_elsewhere RENAME TO checks",
        r"does not exist \(42P01\); is the database migrated"),
}


@pytest.mark.parametrize("name", OUTAGES)
def test_an_outage_loses_nothing_and_changes_nothing(pipeline, name):
    begin, end, said = OUTAGES[name]
    role = f"role_{pipeline.id}"
    for sql in (f"CREATE ROLE {role} LOGIN", f"CREATE DATABASE {pipeline.database} OWNER {role}",
                f"ALTER DATABASE {pipeline.database} SET statement_timeout = '5s'",
                f"ALTER DATABASE {pipeline.database} OWNER TO {role}"):
        pipeline.postgres.query("postgres", sql)
    pipeline.query(f"GRANT ALL ON SCHEMA public TO {role}")
    consumer = pipeline.consumer(POSTGRES_DSN=pipeline.env["POSTGRES_DSN"].replace(
        "user=postgres", f"user={role}")).wait_until_ready()
    produce(pipeline, "before", 100)
    pipeline.wait_until_stored()
    given = len(consumer.has_line('msg="partition given"'))
    pipeline.query(begin.format(role=role))
    produce(pipeline, "during", 100)
    assert re.search(said, consumer.wait_for_line(PAUSED))
    process.wait_for(lambda: consumer.get("/readyz")[0] == 503, "it to be not ready")
    assert consumer.get("/healthz")[0] == 200
    pipeline.query(end.format(role=role))
    consumer.wait_for_line('msg="storing again')
    assert_stored_once(pipeline, 200, consumer)
    assert len(consumer.has_line(PAUSED)) == 1
    assert sitewatch.metric_sum(consumer.metrics(), "sitewatch_outages_total") == 1
    assert len(consumer.has_line('msg="partition given"')) == given
    consumer.terminate()


def test_a_server_that_does_not_answer_is_given_up_and_loses_nothing(pipeline):
    consumer = pipeline.consumer("--answer-seconds", "3").wait_until_ready()
    produce(pipeline, "before", 100)
    pipeline.wait_until_stored()
    given = len(consumer.has_line('msg="partition given"'))
    pipeline.postgres.pause()
    try:
        produce(pipeline, "during", 100)
        consumer.wait_for_line('msg="Postgres does not answer, its connection is given up"')
        consumer.wait_for_line(PAUSED)
    finally:
        pipeline.postgres.go_on()
    consumer.wait_for_line('msg="storing again')
    assert_stored_once(pipeline, 200, consumer)
    assert len(consumer.has_line(PAUSED)) == 1
    assert len(consumer.has_line('msg="partition given"')) == given
    consumer.terminate()


def test_a_consumer_ends_by_its_deadline_though_postgres_does_not_answer(pipeline):
    """What it holds is read again; rollups, stale sites and the outbox have asked something as well."""
    consumer = pipeline.consumer("--drain-seconds", "2").wait_until_ready()
    produce(pipeline, "before", 100)
    pipeline.wait_until_stored()
    pipeline.postgres.pause()
    try:
        produce(pipeline, "during", 100)
        consumer.wait_for_line('msg="Postgres takes long to store a batch"')
        consumer.signal(signal.SIGTERM)
        assert consumer.wait(20) == 1
        assert "messages are not stored; they will be read again" in consumer.lines[-1]
        assert len(consumer.has_line('msg="Postgres does not answer')) == 1
        assert not consumer.has_line('msg="rollups wait"'), "that was our own doing"
    finally:
        pipeline.postgres.go_on()
    after = pipeline.consumer().wait_until_ready()
    assert_stored_once(pipeline, 200, after)
    after.terminate()


def test_a_consumer_ends_at_once_while_another_migrates(pipeline):
    assert sitewatch.run("consumer", "migrate", env=pipeline.env).returncode == 0
    other = psycopg2.connect(pipeline.postgres.dsn(pipeline.database))
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(1936290917, 1)")
        consumer = pipeline.consumer("--drain-seconds", "60")
        process.wait_for(lambda: pipeline.query("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
                                                "AND database = (SELECT oid FROM pg_database WHERE datname = "
                                                "current_database())"), "it to wait for the lock")
        consumer.terminate(10)
        assert re.search('level=info msg="stopped', consumer.lines[-1])
    finally:
        other.close()


def test_a_server_that_takes_long_is_told_of_and_waited_for(pipeline):
    consumer = pipeline.consumer().wait_until_ready()
    produce(pipeline, "before", 100)
    pipeline.wait_until_stored()
    holder = psycopg2.connect(pipeline.postgres.dsn(pipeline.database))
    with holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE kafka_offsets")
        produce(pipeline, "during", 100)
        consumer.wait_for_line('msg="Postgres takes long to store a batch"', 60)
    holder.close()
    consumer.wait_for_line('msg="Postgres has answered at last"')
    assert_stored_once(pipeline, 200, consumer)
    assert not consumer.has_line(PAUSED)
    assert len(consumer.has_line('msg="Postgres takes long to store a batch"')) == 1
    consumer.terminate()


# ---- two servers ----

@pytest.fixture
def pair():
    """A primary and its standby."""
    primary = postgres_module.Postgres()
    standby = postgres_module.Postgres(primary)
    yield primary, standby
    standby.close()
    primary.close()


@pytest.fixture
def on_pair(pair, kafka, programs, tmp_path):
    made = Pipeline(kafka, pair[0], programs, tmp_path)
    assert sitewatch.run("consumer", "migrate", env=made.env).returncode == 0
    yield made
    programs.close()
    kafka.delete_topics(made.success, made.failure, made.dead_letters)


def wait_until_replayed(primary):
    process.wait_for(lambda: primary.query(
        "postgres", "SELECT FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"),
        "the standby to replay what there is")


def test_a_standby_is_an_outage_until_it_is_promoted(on_pair, pair):
    primary, standby = pair
    wait_until_replayed(primary)
    consumer = on_pair.consumer("--no-migrate", POSTGRES_DSN=standby.dsn(on_pair.database))
    produce(on_pair, "here", 100)
    assert re.search(r"read-only transaction \(25006\)", consumer.wait_for_line(PAUSED))
    standby.query("postgres", "SELECT pg_promote()")
    on_pair.postgres = standby
    consumer.wait_for_line('msg="storing again')
    assert_stored_once(on_pair, 100, consumer)
    assert len(consumer.has_line(PAUSED)) == 1
    consumer.terminate()


def test_a_failover_to_another_host_of_the_dsn_stores_again_what_it_lost(on_pair, pair):
    """The standby misses the newest commits: rows and offsets, and so both are made again."""
    primary, standby = pair
    consumer = on_pair.consumer(POSTGRES_DSN=(
        f"host=127.0.0.1,127.0.0.1 port={standby.port},{primary.port} user=postgres "
        f"dbname={on_pair.database} target_session_attrs=read-write")).wait_until_ready()
    produce(on_pair, "replicated", 100)
    on_pair.wait_until_stored()
    wait_until_replayed(primary)
    standby.query("postgres", "ALTER SYSTEM SET primary_conninfo = ''")
    standby.query("postgres", "SELECT pg_reload_conf()")
    process.wait_for(lambda: not primary.query("postgres", "SELECT FROM pg_stat_replication"),
                     "the standby to be cut off")
    produce(on_pair, "lost", 100)
    on_pair.wait_until_stored()
    primary.crash()
    standby.query("postgres", "SELECT pg_promote()")
    on_pair.postgres = standby
    assert on_pair.count() == 100
    produce(on_pair, "after", 100)
    consumer.wait_for_line(PAUSED)
    consumer.wait_for_line('msg="claim lost, reading the partition anew"')
    on_pair.wait_for_rows(300)
    assert_stored_once(on_pair, 300, consumer)
    assert len(consumer.has_line(PAUSED)) == 1
    consumer.terminate()


# ---- Kafka ----

def test_a_topic_that_grows_is_read_from_the_beginning_of_its_new_partitions(pipeline):
    consumer = pipeline.consumer(
        KAFKA_PROPERTIES="topic.metadata.refresh.interval.ms=500").wait_until_ready()
    produce(pipeline, "before", 100)
    pipeline.wait_until_stored()
    pipeline.kafka.grow_topic(pipeline.success, 8)
    produce(pipeline, "after", 100, 8)
    assert_stored_once(pipeline, 200, consumer)
    given = {re.search(r"topic=(\S+) partition=(\d+)", line).groups()
             for line in consumer.has_line('msg="partition given"')}
    assert {(pipeline.success, str(p)) for p in range(8)} <= given
    consumer.terminate()


def test_a_broker_that_restarts_is_read_on(pipeline):
    consumer = pipeline.consumer().wait_until_ready()
    produce(pipeline, "before", 100)
    pipeline.wait_until_stored()
    pipeline.kafka.stop()
    consumer.wait_for_line("brokers are down")
    pipeline.kafka.start()
    produce(pipeline, "after", 100)
    assert_stored_once(pipeline, 200, consumer)
    assert not consumer.has_line(PAUSED)
    consumer.terminate()


def test_a_right_to_read_that_is_taken_and_given_back(programs, postgres, tmp_path):
    broker = kafka_module.Kafka(kafka_module.AUTHORIZER)
    try:
        pipeline = Pipeline(broker, postgres, programs, tmp_path)
        topic = ("--topic", pipeline.success)
        broker.change_acls("--add", "--allow-principal", "User:*", "--operation", "All", *topic)
        consumer = pipeline.consumer().wait_until_ready()
        produce(pipeline, "before", 100)
        pipeline.wait_until_stored()
        deny = ("--deny-principal", "User:*", "--operation", "Read", *topic)
        broker.change_acls("--add", *deny)
        produce(pipeline, "during", 100)
        line = consumer.wait_for_line('msg="Kafka does not give messages"')
        assert pipeline.success in line and "authorization failed" in line, line
        broker.change_acls("--remove", "--force", *deny)
        assert_stored_once(pipeline, 200, consumer)
        assert len(consumer.has_line('msg="Kafka does not give messages"')) <= 2
        consumer.terminate()
        pipeline.close()
    finally:
        broker.close()


def test_a_consumer_ends_by_its_deadline_though_kafka_does_not_answer(pipeline):
    """The commit of offsets that only lag tools read is on its way when the broker stands still."""
    consumer = pipeline.consumer("--drain-seconds", "1").wait_until_ready()
    produce(pipeline, "before", 100)
    pipeline.wait_until_stored()
    pipeline.kafka.pause()
    try:
        consumer.terminate(20)
    finally:
        pipeline.kafka.go_on()
    after = pipeline.consumer().wait_until_ready(60)
    assert_stored_once(pipeline, 100, after)
    after.terminate()
