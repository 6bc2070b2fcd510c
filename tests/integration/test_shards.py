"""Producers that share the sites of the topic: who checks what, from when on, and who takes over."""

import base64
import collections
import datetime
import json
import os
import re
import signal
import time

import pytest
from confluent_kafka import Producer

from stand import events, process, sitewatch
from stand.api import Api

PARTITIONS = 8
SESSION_S = 10
ASSERT_TIMES = os.environ.get("LOAD_ASSERT_TIMES") == "1"


class SitesTopic:
    """A compacted topic, written as the outbox writes it, and the paths that its sites are checked at."""

    def __init__(self, pipeline, sited):
        self.pipeline = pipeline
        self.sited = sited
        self.name = f"sites-{pipeline.id}"
        self.versions = collections.Counter()
        self.writer = Producer({"bootstrap.servers": pipeline.kafka.bootstrap, "linger.ms": 0,
                                "partitioner": "murmur2_random"})

    def make(self, **config):
        self.pipeline.kafka.create_topic(self.name, PARTITIONS, **{"cleanup_policy": "compact", **config})
        return self

    def path(self, number):
        return f"/ok?shards={self.pipeline.id}-{number}"

    def send(self, key, value):
        self.writer.produce(self.name, key=str(key), value=value)

    def put(self, *numbers, **options):
        """Sites by their ids, and all of them are acknowledged."""
        for number in numbers:
            self.versions[number] += 1
            site = {"schema": 1, "id": number, "version": self.versions[number], "name": f"site {number}",
                    "url": self.sited.url(self.path(number)), "seconds": 1, "enabled": True, **options}
            self.send(number, json.dumps(site))
        assert self.writer.flush(30) == 0

    def drop(self, number):
        self.send(number, None)
        assert self.writer.flush(30) == 0

    def producer(self, observer, *args, **env):
        return self.pipeline.producer("--targets-topic", self.name, "--observer", observer, *args, **env)

    def requests(self):
        """{site's number: requests so far}."""
        found = self.sited.counts(f"/ok?shards={self.pipeline.id}-")
        return collections.Counter({int(path.rpartition("-")[2]): n for path, n in found.items()})

    def wait_for_requests(self, numbers, more=1, since=None, seconds=30):
        """Until each of the sites was asked `more` times than since."""
        since = since or {}

        def asked():
            now = self.requests()
            return all(now[n] >= since.get(n, 0) + more for n in numbers)

        process.wait_for(asked, f"{more} checks of each site", seconds, 0.1)

    def events(self):
        found = []
        for topic in (self.pipeline.success, self.pipeline.failure):
            found += [json.loads(message.value()) for message in self.pipeline.kafka.read(topic)]
        for event in found:
            events.check(event)
        return found


@pytest.fixture
def topic(pipeline, sited):
    made = SitesTopic(pipeline, sited)
    yield made
    if made.name in pipeline.kafka.topics():
        pipeline.kafka.delete_topics(made.name)


def shards(producer):
    samples = producer.metrics()
    assert sitewatch.metric_sum(samples, "sitewatch_shards") <= PARTITIONS
    return sitewatch.metric_sum(samples, "sitewatch_shards", state="read")


def wait_for_shards(*producers):
    """Until all shards are read, and each producer has some."""
    def read():
        held = [shards(p) for p in producers]
        return sum(held) == PARTITIONS and min(held) > 0
    process.wait_for(read, f"{PARTITIONS} shards read by {len(producers)} producers", 40, 0.1)


def slot_ms(event):
    return round(datetime.datetime.fromisoformat(event["slot"].replace("Z", "+00:00")).timestamp() * 1000)


def assert_once(found, requests):
    """No slot twice, and a request for each event."""
    ids = [event["id"] for event in found]
    assert len(ids) == len(set(ids))
    made = collections.Counter(int(event["site"]["name"][5:]) for event in found if "http" in event)
    assert made == requests


def test_a_producer_checks_what_the_topic_has_and_follows_it(topic):
    topic.make()
    topic.put(*range(1, 21))
    topic.put(30, enabled=False)
    topic.put(31)
    topic.drop(31)
    producer = topic.producer("alone")
    producer.wait_until_ready()
    assert shards(producer) == PARTITIONS
    assert sitewatch.metric_sum(producer.metrics(), "sitewatch_shard_changes_total", change="given") == PARTITIONS
    assert sitewatch.metric_sum(producer.metrics(), "sitewatch_sites") == 20
    topic.wait_for_requests(range(1, 21), 2)

    before = time.time() * 1000
    topic.put(40, 41, seconds=3600)  # they come
    topic.put(1, seconds=3)          # it changes
    topic.put(2, name="site 1002")   # so does this one's name, and with it the ids of its events
    topic.put(30)                    # it is enabled
    topic.drop(3)
    topic.wait_for_requests((40, 41, 30))
    process.wait_for(lambda: sitewatch.metric_sum(producer.metrics(), "sitewatch_topic_sites") == 22, "22 sites")
    asked = topic.requests()
    topic.send(1, "nonsense")
    topic.send("shop", "{}")
    topic.send(4, json.dumps({"schema": 1, "id": 4, "version": 9, "url": "http://a/", "seconds": 0}))
    topic.put(5, version=0)
    topic.put(42)
    topic.wait_for_requests((42, 1, 4, 5), 2, asked)
    assert topic.requests()[3] == asked[3]
    refused = producer.has_line("a site of the topic is refused")
    assert len(refused) == 4
    assert all(re.search(r"partition=\d+ offset=\d+ ", line) for line in refused)
    assert any("seconds: 0 is not in 1..86400" in line for line in refused)
    assert sitewatch.metric_sum(producer.metrics(), "sitewatch_site_messages_total", result="bad") == 4
    assert producer.get("/readyz")[0] == 200
    producer.terminate()

    found = topic.events()
    by_name = collections.defaultdict(list)
    for event in sorted(found, key=slot_ms):
        by_name[event["site"]["name"]].append(event)
    assert {e["site"]["id"] for e in by_name["site 7"]} == {7}
    assert {e["site"]["id"] for e in by_name["site 1002"]} == {2}
    assert len({slot_ms(e) % 1000 for e in by_name["site 7"]}) == 1  # from the start on at its slots
    for number in (40, 41):  # off its grid, when it was put
        assert len(by_name[f"site {number}"]) == 1
        assert 0 <= slot_ms(by_name[f"site {number}"][0]) - before < 20000
    changed = by_name["site 1"]
    assert len({slot_ms(e) % 3000 for e in changed if e["interval_s"] == 3 and slot_ms(e) > before + 3000}) == 1
    assert len({e["id"] for e in found}) == len(found)


def test_two_share_a_third_joins_and_one_leaves_and_no_slot_is_checked_twice(topic):
    numbers = range(1, 61)
    topic.make()
    topic.put(*numbers)
    first, second = topic.producer("first"), topic.producer("second")
    wait_for_shards(first, second)
    topic.wait_for_requests(numbers, 2, topic.requests())
    third = topic.producer("third")
    wait_for_shards(first, second, third)
    topic.wait_for_requests(numbers, 2, topic.requests())
    second.terminate()
    wait_for_shards(first, third)
    topic.wait_for_requests(numbers, 2, topic.requests())
    for producer in (first, third):
        producer.terminate()

    found = topic.events()
    assert_once(found, topic.requests())
    assert {event["observer"] for event in found} == {"first", "second", "third"}
    for name in {event["site"]["name"] for event in found}:
        slots = sorted(slot_ms(e) for e in found if e["site"]["name"] == name)
        gaps = [(after - before) / 1000 for before, after in zip(slots, slots[1:])]
        assert all(gap.is_integer() for gap in gaps), name
        assert max(gaps) <= (5 if ASSERT_TIMES else 60), f"{name} was not checked for {max(gaps)} s"


def test_the_sites_of_a_killed_producer_go_on(topic):
    numbers = range(1, 41)
    topic.make()
    topic.put(*numbers)
    stays, killed = topic.producer("stays"), topic.producer("killed")
    wait_for_shards(stays, killed)
    topic.wait_for_requests(numbers, 1, topic.requests())
    killed.kill()
    died = time.monotonic()
    topic.wait_for_requests(numbers, 2, topic.requests(), SESSION_S + 30)
    assert time.monotonic() - died < SESSION_S + 5 + 2 * 1 or not ASSERT_TIMES  # and two intervals, for two checks
    assert shards(stays) == PARTITIONS
    stays.terminate()
    found = topic.events()
    ids = [event["id"] for event in found]
    assert len(ids) == len(set(ids))
    assert sum(topic.requests().values()) - len(ids) <= len(numbers)  # what it had not sent yet


def test_a_producer_that_lost_its_shards_lets_them_go_and_gets_others(topic):
    numbers = range(1, 21)
    topic.make()
    topic.put(*numbers)
    session = {"KAFKA_PROPERTIES": "session.timeout.ms=2000"}
    stays, paused = topic.producer("stays", **session), topic.producer("paused", **session)
    wait_for_shards(stays, paused)
    paused.signal(signal.SIGSTOP)
    process.wait_for(lambda: shards(stays) == PARTITIONS, "all shards taken over", 30, 0.1)
    paused.signal(signal.SIGCONT)
    paused.wait_for_line("shards were lost, Kafka has taken us for gone", 30)
    wait_for_shards(stays, paused)
    topic.wait_for_requests(numbers, 2, topic.requests())
    for producer in (stays, paused):
        producer.terminate()
    later = [e for e in topic.events() if "http" in e]
    # Only what it began before it knew may be there twice; it has the same id, and is stored once.
    assert len(later) - len({e["id"] for e in later}) <= len(numbers)


def test_each_location_checks_every_site_and_a_files_sites_are_checked_beside(topic):
    numbers = range(1, 11)
    topic.make()
    topic.put(*numbers)
    path = topic.pipeline.targets_file(
        f'targets = ({{ name = "site 1"; url = "{topic.sited.url(topic.path(901))}"; seconds = 1; }},\n'
        f'{{ name = "own"; url = "{topic.sited.url(topic.path(902))}"; seconds = 1; }});\n')
    here = topic.producer("a", "--location", "here")
    there = topic.producer("b", "--location", "there", "--targets-file", path)
    wait_for_shards(here)
    wait_for_shards(there)
    there.wait_for_line(r'names are taken by other sites.* site="site 1" id=1')
    samples = there.metrics()
    assert samples["sitewatch_sites"] == 11
    assert samples["sitewatch_topic_sites"] == 9
    assert samples["sitewatch_sites_name_taken"] == 1
    topic.wait_for_requests([*range(2, 11), 901, 902], 3)
    here.terminate()
    there.terminate()

    found = topic.events()
    assert_seen = collections.defaultdict(set)
    for event in found:
        assert_seen[event["site"]["name"]].add((event["location"], event["site"].get("id")))
    for number in range(2, 11):
        assert assert_seen[f"site {number}"] == {("here", number), ("there", number)}
    assert assert_seen["site 1"] == {("here", 1), ("there", None)}
    assert assert_seen["own"] == {("there", None)}
    assert len({event["id"] for event in found}) == len(found)


def test_a_topic_that_will_not_do_is_refused_and_looked_at_again(topic):
    path = topic.pipeline.targets_file(
        f'targets = ({{ name = "own"; url = "{topic.sited.url(topic.path(901))}"; seconds = 1; }});\n')
    producer = topic.producer("a", "--targets-file", path, KAFKA_PROPERTIES="topic.metadata.refresh.interval.ms=1000")
    said = producer.wait_for_line("sites of the topic are not checked")
    assert f"there is no topic {topic.name}; consumer migrate --topics makes it" in said
    assert topic.name not in topic.pipeline.kafka.topics()
    assert producer.get("/readyz")[0] == 503
    topic.make(cleanup_policy="delete")
    said = producer.wait_for_line("sites of the topic are not checked.*is not compacted", 30)
    topic.wait_for_requests((901,), 2, topic.requests())  # the file's go on
    assert len(producer.has_line("sites of the topic are not checked")) == 2
    topic.pipeline.kafka.delete_topics(topic.name)
    process.wait_for(lambda: topic.name not in topic.pipeline.kafka.topics(), "the topic to go")
    topic.make()
    topic.put(1)
    producer.wait_for_line("the topic of the sites is read", 30)
    topic.wait_for_requests((1,), 1)
    producer.wait_until_ready()

    topic.pipeline.kafka.delete_topics(topic.name)  # under its hands
    producer.wait_for_line("sites of the topic are not checked.*there is no topic", 60, count=2)
    assert producer.metrics()["sitewatch_topic_sites"] == 0
    process.wait_for(lambda: producer.get("/readyz")[0] == 503, "it to be not ready", 5)  # which is looked at once a second
    topic.make()
    topic.put(2)
    topic.wait_for_requests((2,), 2)
    producer.terminate()


def test_what_is_said_to_the_api_is_checked_within_two_seconds(topic, pipeline, programs, postgres):
    pipeline.env["KAFKA_TOPIC_SITES"] = topic.name
    made = sitewatch.run("consumer", "migrate", "--topics", env=pipeline.env)
    assert made.returncode == 0, made.stderr
    key = {"SITES_SECRET_KEY": base64.b64encode(bytes(32)).decode()}
    consumer, producer = pipeline.consumer(), topic.producer("a", **key)
    api = Api(postgres, programs, pipeline.database).start(API_ALLOW_OPTIONS="allow_private", **key)
    consumer.wait_for_line("telling the topic of the sites")
    producer.wait_for_line('msg="shards were read"', 60)
    # With the first change the consumer opens the topic, which waits for a new broker's coordinator.
    api.post(url=topic.sited.url(topic.path(3)), seconds=300, allow_private=True)
    topic.wait_for_requests((3,))

    began = time.monotonic()
    site = api.post(url=topic.sited.url(topic.path(1)), seconds=300, allow_private=True)
    topic.wait_for_requests((1,))
    posted_s = time.monotonic() - began
    api.post(name="refused", url=topic.sited.url(topic.path(2)), seconds=300)
    api.post(name="secret", url=topic.sited.url("/echo"), seconds=300, allow_private=True, username="u", password="p",
             pattern="Authorization: Basic dTpw")  # it comes sealed
    began = time.monotonic()
    put = api.ask("PATCH", f"/websites/{site['id']}", {"seconds": 5})
    assert put.status == 200, put.body
    topic.wait_for_requests((1,), 3, seconds=60)  # when it changed, and at two slots of the new grid
    assert time.monotonic() - began < 2 + 2 * 5 or not ASSERT_TIMES
    assert api.ask("DELETE", f"/websites/{site['id']}").status == 204
    process.wait_for(lambda: producer.metrics()["sitewatch_sites"] == 3, "the site to leave")
    asked = topic.requests()
    pipeline.wait_for_rows(6)
    rows = pipeline.checks("w.website_id = %s", site["id"])
    assert {row["status"] for row in rows} == {"up"}, rows
    refused = process.wait_for(lambda: pipeline.checks("w.name = 'refused'"), "the check of a private address")
    assert refused[0]["error_type"] == "blocked_address"
    assert [row["status"] for row in pipeline.checks("w.name = 'secret'")] == ["up"]
    assert posted_s < 2 or not ASSERT_TIMES
    producer.terminate()
    assert topic.requests() == asked


@pytest.mark.parametrize("args, words", [
    (["--once"], "--once goes with --url or a targets file"),
    (["--pattern", "a"], "--pattern goes with --url"),
    (["--check-config"], "sites of topic sites are read when it runs"),
])
def test_flags_beside_the_topic(args, words):
    done = sitewatch.run("producer", "--targets-topic", "sites", *args)
    assert done.returncode == (0 if "--check-config" in args else 2)
    assert words in done.stdout + done.stderr


def test_where_the_topics_name_may_stand():
    """TARGETS_TOPIC asks for it; KAFKA_TOPIC_SITES only names it, where nothing else is asked for."""
    def check(*args, **env):
        done = sitewatch.run("producer", "--check-config", *args, env=env)
        return done.stdout if done.returncode == 0 else done.stderr

    assert "nothing to check" in check()
    assert check(KAFKA_TOPIC_SITES="a") == "sites of topic a are read when it runs\n"
    assert check(KAFKA_TOPIC_SITES="a", TARGETS_TOPIC="b") == "sites of topic b are read when it runs\n"
    assert check("--url", "http://a/", KAFKA_TOPIC_SITES="a") == "1 site is valid\n"
    assert check("--url", "http://a/", TARGETS_TOPIC="b") == (
        "1 site is valid\nsites of topic b are read when it runs\n")
    assert check("--once", "--url", "http://a/", TARGETS_TOPIC="b") == "1 site is valid\n"
    assert 'targets-topic: "a b" is no topic name' in check("--targets-topic", "a b")
