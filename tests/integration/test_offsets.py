"""consumer offsets reset, and consumer migrate --topics."""

import uuid

import pytest
from confluent_kafka.admin import ConfigResource

from stand import events, kafka as kafka_module, process, sitewatch


def command(pipeline, *args, status=0, **env):
    done = sitewatch.run("consumer", *args, env={**pipeline.env, **env})
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def produce(pipeline, name, count, partition=0):
    pipeline.kafka.produce(pipeline.success, [
        {"value": events.encode(events.make(f"{name}{i}")), "partition": partition} for i in range(count)])


def stored(pipeline):
    return {row["partition"]: (row["next_offset"], row["epoch"]) for row in pipeline.query(
        "SELECT * FROM kafka_offsets WHERE topic = %s", pipeline.success)}


def reset(pipeline, *args, **kwargs):
    return command(pipeline, "offsets", "reset", "--topic", pipeline.success, *args, **kwargs)


@pytest.fixture
def read_once(pipeline):
    """20 events of partition 0 are stored; the consumer has ended."""
    consumer = pipeline.consumer().wait_until_ready()
    produce(pipeline, "a", 20)
    pipeline.wait_for_rows(20)
    pipeline.wait_until_stored()
    consumer.terminate()
    return pipeline


def test_without_execute_nothing_changes(read_once):
    before = stored(read_once)
    said = reset(read_once, "--to", "earliest")
    rows = [line.split() for line in said.splitlines() if line.startswith(read_once.success)]
    assert [row[1:6] for row in rows][0] == ["0", "20", "0", "0", "20"]
    assert len(rows) == 4 and "--execute does it" in said
    assert stored(read_once) == before


def test_what_is_read_again_is_stored_once(read_once):
    before = stored(read_once)
    assert "moved" in reset(read_once, "--to", "earliest", "--partition", "0", "--execute")
    after = stored(read_once)
    assert after.pop(0) == (0, before.pop(0)[1] + 1) and after == before
    consumer = read_once.consumer().wait_until_ready()
    read_once.wait_until_stored()
    assert read_once.count() == 20
    assert sitewatch.metric_sum(consumer.metrics(), "sitewatch_duplicates_total") == 20
    consumer.terminate()


def test_latest_and_an_offset_leave_out_what_is_before(read_once):
    produce(read_once, "skipped", 10)
    produce(read_once, "read", 10)
    reset(read_once, "--to", "30", "--partition", "0", "--execute")
    consumer = read_once.consumer().wait_until_ready()
    read_once.wait_until_stored()
    consumer.terminate()
    assert read_once.count() == 30
    assert read_once.query("SELECT count(*) AS n FROM websites WHERE name LIKE 'skipped%%'")[0]["n"] == 0
    produce(read_once, "more", 5, partition=3)
    reset(read_once, "--to", "latest", "--execute")
    assert {p: at for p, (at, _) in stored(read_once).items()} == {0: 40, 1: 0, 2: 0, 3: 5}


def test_partitions_that_nobody_claimed_get_their_offset(pipeline):
    command(pipeline, "migrate")
    produce(pipeline, "old", 7)
    said = reset(pipeline, "--to", "latest", "--execute")
    assert " - " in said
    assert stored(pipeline) == {0: (7, 1), 1: (0, 1), 2: (0, 1), 3: (0, 1)}
    consumer = pipeline.consumer().wait_until_ready()
    produce(pipeline, "new", 3)
    pipeline.wait_until_stored()
    consumer.terminate()
    assert pipeline.count() == 3


def test_a_held_partition_is_refused_and_with_force_its_consumer_reads_from_there(read_once):
    consumer = read_once.consumer().wait_until_ready()
    consumer.wait_for_line('msg="partition claimed"', count=8)
    before = stored(read_once)
    said = reset(read_once, "--to", "earliest", "--execute", status=1)
    assert "held by consumers" in said and "/127.0.0.1" in said
    assert stored(read_once) == before
    assert "--execute does it" in reset(read_once, "--to", "earliest")
    assert "moved" in reset(read_once, "--to", "earliest", "--execute", "--force")
    produce(read_once, "b", 1)
    read_once.wait_for_rows(21)
    read_once.wait_until_stored()
    assert read_once.count() == 21
    duplicates = sitewatch.metric_sum(consumer.metrics(), "sitewatch_duplicates_total")
    assert duplicates == 20, "it was fenced, and read from the new offset on"
    assert sitewatch.metric_sum(consumer.metrics(), "sitewatch_fences_lost_total") == 1
    consumer.terminate()


def test_what_cannot_be_is_said(read_once):
    before = stored(read_once)
    for args, words in (
            (("--to", "21"), "the log is from 0 to 20"),
            (("--to", "-1"), "not earliest, latest or an offset"),
            (("--to", "yesterday"), "not earliest, latest or an offset"),
            (("--partition", "4", "--to", "latest"), "has 0 to 3"),
            (("--partition", "one", "--to", "latest"), "--partition one"),
            ((), "needs --topic and --to")):
        assert words in reset(read_once, *args, "--execute", status=2)
    said = command(read_once, "offsets", "reset", "--topic", "no-such-topic", "--to", "latest", status=1)
    assert "there is no topic no-such-topic" in said
    said = reset(read_once, "--to", "latest", status=1, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert f"consumer: {read_once.success}: " in said
    assert stored(read_once) == before


# ---- migrate --topics ----

@pytest.fixture
def topics(pipeline):
    """Names of topics that are not there."""
    made = {name: f"{name}-{uuid.uuid4().hex[:10]}" for name in ("success", "failure", "dead-letter", "sites")}
    pipeline.env.update({f"KAFKA_TOPIC_{name.upper().replace('-', '_')}": topic
                         for name, topic in made.items()})
    pipeline.topics = made
    yield pipeline
    there = set(pipeline.kafka.admin.list_topics(timeout=10).topics) & set(made.values())
    if there:
        pipeline.kafka.delete_topics(*there)


def config(kafka, topic, name):
    (answer,) = kafka.admin.describe_configs([ConfigResource("topic", topic)]).values()
    return answer.result(10)[name].value


def test_topics_that_are_missing_are_made_and_the_second_time_only_looked_at(topics):
    names = topics.topics
    said = command(topics, "migrate", "--topics", "--replication-factor", "1").splitlines()
    assert said[-4:] == [f"{names['success']}: made, partitions: 12", f"{names['failure']}: made, partitions: 12",
                         f"{names['dead-letter']}: made, partitions: 1",
                         f"{names['sites']}: made, partitions: 64, compacted"]
    process.wait_for(lambda: set(names.values()) <= set(topics.kafka.admin.list_topics(timeout=10).topics),
                     "the topics")
    assert config(topics.kafka, names["sites"], "cleanup.policy") == "compact"
    assert config(topics.kafka, names["success"], "cleanup.policy") == "delete"
    again = command(topics, "migrate", "--topics").splitlines()
    assert again[-4:] == [line.replace("made", "exists") for line in said[-4:]]


def test_topics_are_left_as_they_are_and_a_wrong_one_is_refused(topics):
    names, kafka = topics.topics, topics.kafka
    kafka.create_topic(names["success"], 3)
    kafka.create_topic(names["failure"], 12, cleanup_policy="compact")
    kafka.create_topic(names["sites"], 64, cleanup_policy="delete")
    said = command(topics, "migrate", "--topics", status=1)
    assert f"{names['success']}: exists, partitions: 3 (a new one has 12)\n" in said
    assert f"{names['failure']}: is compacted" in said
    assert f"{names['dead-letter']}: made, partitions: 1\n" in said
    assert f"{names['sites']}: is not compacted" in said
    assert "2 of 4 topics are not as they must be" in said
    assert len(kafka.admin.list_topics(names["success"], 10).topics[names["success"]].partitions) == 3


def test_what_the_broker_will_not_make_is_said_for_each(topics):
    said = command(topics, "migrate", "--topics", "--replication-factor", "3", status=1)
    for topic in topics.topics.values():
        assert f"{topic}: " in said
    assert "4 of 4 topics" in said and "eplication factor" in said
    topics.env["KAFKA_TOPIC_SITES"] = topics.env["KAFKA_TOPIC_SUCCESS"]
    assert "are the same topic" in command(topics, "migrate", "--topics", status=2)
    topics.env["KAFKA_TOPIC_SITES"] = "no/topic"
    assert "kafka-topic-sites" in command(topics, "migrate", "--topics", status=2)
    topics.env["KAFKA_TOPIC_SITES"] = "sites"
    said = command(topics, "migrate", "--topics", status=1, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert "database is up to date" in said


@pytest.mark.own_servers
def test_where_the_broker_makes_topics_those_of_the_checks_come_with_the_first_check(topics, sited):
    broker = kafka_module.Kafka("auto.create.topics.enable=true\n")
    try:
        topics.env["KAFKA_BOOTSTRAP_SERVERS"] = broker.bootstrap
        topics.consumer()
        topics.producer("--url", sited.url("/ok?first"), "--seconds", "1")
        topics.wait_for_rows(1, seconds=60)
        broker.produce(topics.topics["success"], [{"value": b"no event"}])
        topics.wait_for_rows(1, "dead_letters", seconds=60)
        assert {topics.topics[name] for name in ("success", "failure", "dead-letter")} <= broker.topics()
        assert topics.topics["sites"] not in broker.topics(), "it must be compacted, so that it is never made like that"
        topics.start.close()
    finally:
        broker.close()


def test_a_flag_of_another_command_and_a_command_that_is_none_are_refused(pipeline):
    for args, words in ((("--force",), "--force is not one of consumer run"),
                        (("migrate", "--to", "latest"), "--to is not one of consumer migrate"),
                        (("dead-letters", "show", "1", "--all"), "--all is not one of consumer dead-letters show"),
                        (("dead-letters",), "not a command"), (("offsets", "set"), "offsets set: not a command"),
                        (("run", "twice"), "usage: consumer run"), (("seed",), "usage: consumer seed FILE")):
        assert words in command(pipeline, *args, status=2)
    assert "settings are valid" in command(pipeline, "offsets", "reset", "--check-config")
