"""What changes in `websites` is told to the topic of the sites: once acknowledged, in order."""

import json
import socket
import time

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from stand import process, sitewatch

TARGETS = """
defaults = { seconds = 30; };
targets = (
    { url = "https://one.example/"; pattern = "v(1)"; },
    { name = "two"; url = "https://two.example/"; enabled = false; }
);
"""


class SitesTopic:
    """Reads all that is in the topic, as a producer would: only what was committed."""

    def __init__(self, pipeline):
        self.name = f"sites-{pipeline.id}"
        self.pipeline = pipeline
        self.messages = []
        self.consumer = None

    def make(self):
        done = sitewatch.run("consumer", "migrate", "--topics", env=self.env())
        assert done.returncode == 0, done.stderr
        return self

    def env(self):
        return {**self.pipeline.env, "KAFKA_TOPIC_SITES": self.name}

    def read(self):
        if self.consumer is None:
            self.consumer = Consumer({"bootstrap.servers": self.pipeline.kafka.bootstrap, "group.id": self.name,
                                      "isolation.level": "read_committed", "enable.auto.commit": False})
            partitions = self.consumer.list_topics(self.name).topics[self.name].partitions
            self.consumer.assign([TopicPartition(self.name, p, OFFSET_BEGINNING) for p in partitions])
        message = self.consumer.poll(0.1)
        while message is not None:
            if message.error() is None:
                value = message.value()
                self.messages.append((message.key().decode(), value and json.loads(value)))
            message = self.consumer.poll(0.02)
        return self.messages

    def wait_for(self, count, seconds=30):
        process.wait_for(lambda: len(self.read()) >= count, f"{count} messages in {self.name}", seconds)
        return self.messages

    def close(self):
        if self.consumer is not None:
            self.consumer.close()
        self.pipeline.kafka.delete_topics(self.name)


@pytest.fixture
def sites_topic(pipeline):
    topic = SitesTopic(pipeline)
    yield topic
    topic.close()


def seed(topic, text=TARGETS):
    path = topic.pipeline.targets_file(text)
    done = sitewatch.run("consumer", "seed", path, env=topic.env())
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_seeded_changed_and_deleted_sites_are_told(pipeline, sites_topic):
    sites_topic.make()
    consumer = pipeline.consumer(KAFKA_TOPIC_SITES=sites_topic.name)
    consumer.wait_until_ready()
    seed(sites_topic)
    told = dict(sites_topic.wait_for(2))
    ids = {r["name"]: str(r["website_id"]) for r in pipeline.query("SELECT website_id, name FROM websites")}
    assert told[ids["https://one.example/"]] == {
        "schema": 1, "id": int(ids["https://one.example/"]), "version": 1, "name": "https://one.example/",
        "url": "https://one.example/", "seconds": 30, "enabled": True, "pattern": "v(1)"}
    assert told[ids["two"]]["enabled"] is False

    began = time.monotonic()
    pipeline.query("UPDATE websites SET version = version + 1, monitoring_interval = 60 WHERE name = 'two' RETURNING 1")
    key, value = sites_topic.wait_for(3)[2]
    assert (key, value["version"], value["seconds"]) == (ids["two"], 2, 60)
    assert time.monotonic() - began < 5, "the change waited to be looked for instead of being told of"
    pipeline.query("UPDATE websites SET version = version + 1, deleted_at = now() WHERE name = 'two' RETURNING 1")
    assert sites_topic.wait_for(4)[3] == (ids["two"], None)
    seed(sites_topic)  # it comes back
    key, value = sites_topic.wait_for(5)[4]
    assert (key, value["seconds"]) == (ids["two"], 30)
    # The same again changes, and tells, nothing; a site known from its checks is not ours to tell.
    assert "2 unchanged" in seed(sites_topic)
    pipeline.query("INSERT INTO websites (name, website_url, monitoring_interval, source)"
                   " VALUES ('seen', 'https://seen.example/', 30, 'event') RETURNING 1")
    process.wait_for(lambda: pipeline.count("site_outbox") == 0, "an empty outbox")
    assert len(sites_topic.read()) == 5
    assert consumer.metrics()["sitewatch_sites_published_total"] == 5


def test_a_missing_topic_is_said_and_not_made_and_nothing_is_lost(pipeline, sites_topic):
    consumer = pipeline.consumer(KAFKA_TOPIC_SITES=sites_topic.name)
    consumer.wait_until_ready()
    seed(sites_topic)
    said = consumer.wait_for_line("changes of sites wait for the topic")
    assert f"there is no topic {sites_topic.name}; consumer migrate --topics makes it" in said
    assert sites_topic.name not in pipeline.kafka.topics()
    assert pipeline.count("site_outbox") == 2
    sites_topic.make()
    assert len(sites_topic.wait_for(2, 60)) == 2
    consumer.wait_for_line("changes of sites go on to the topic")


def test_a_consumer_whose_changes_wait_for_a_broker_ends_at_once(pipeline, sites_topic):
    seed(sites_topic.make())
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        consumer = pipeline.consumer(KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{silent.getsockname()[1]}")
        consumer.wait_for_line("telling the topic of the sites")
        consumer.terminate(5)


def test_one_consumer_tells_and_another_takes_over(pipeline, sites_topic):
    sites_topic.make()
    first = pipeline.consumer(KAFKA_TOPIC_SITES=sites_topic.name)
    first.wait_for_line("telling the topic of the sites")
    second = pipeline.consumer(KAFKA_TOPIC_SITES=sites_topic.name)
    second.wait_until_ready()
    seed(sites_topic)
    sites_topic.wait_for(2)
    assert not second.has_line("telling the topic of the sites")
    first.kill()
    pipeline.query("UPDATE websites SET version = version + 1 RETURNING 1")
    second.wait_for_line("telling the topic of the sites", 30)
    assert [value["version"] for _, value in sites_topic.wait_for(4)] == [1, 1, 2, 2]
    process.wait_for(lambda: pipeline.count("site_outbox") == 0, "an empty outbox")
