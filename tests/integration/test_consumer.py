"""The consumer against bad messages, an empty server, and a Postgres that goes away."""

import datetime
import hashlib
import pathlib
import signal

import pytest

from stand import events, process, sitewatch


def numbered(name, i):
    """A valid event; the slots of one name differ."""
    slot = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=60 - i)
    return events.encode(events.make(name, slot))


def poison():
    """label -> (payload or None, reason of the dead letter or None when any will do)."""
    far = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
    nul = events.encode(events.make("nul", location="a\0b"))
    raw_nul = events.encode(events.make("raw")).replace(b"another-client", b"another\0client")
    wrong_type = events.make("types", lag_us="soon")
    missing = events.make("missing")
    del missing["site"]
    return {
        "not JSON": (b"this is not JSON", "json"),
        "nothing": (b"", None),
        "a tombstone": (None, None),
        "another schema": (events.encode(events.make("later", schema=2)), "schema"),
        "JSON of something else": (b'{"temperature": 21.5}', None),
        "an array": (b"[1, 2, 3]", None),
        "2 MB": (events.encode(events.make("big", padding="x" * 2_000_000)), "too_large"),
        "NUL escaped": (nul, None),
        "NUL raw": (raw_nul, None),
        "broken UTF-8": (events.encode(events.make("utf")).replace(b"another-client", b"\xff\xfe"), None),
        "the year 9999": (events.encode(events.make("far", far)), "slot_future"),
        "the year 1970": (events.encode(events.make(
            "old", datetime.datetime(1970, 1, 2, tzinfo=datetime.timezone.utc))), "slot_expired"),
        "a text for a number": (events.encode(wrong_type), "field"),
        "no site": (events.encode(missing), "field"),
        "nested too deeply": (b"[" * 100_000, None),
        "a number beyond range": (events.encode(events.make("huge")).replace(
            b'"lag_us": 120', b'"lag_us": 1e999'), None),
    }


def test_a_bad_message_moves_on_and_is_kept(pipeline):
    bad = poison()
    messages = []
    for i, (payload, _) in enumerate(bad.values()):
        messages.append({"value": numbered("good", i), "key": "good", "partition": 0})
        messages.append({"value": payload, "key": "bad", "partition": 0})
    messages.append({"value": numbered("good", len(bad)), "key": "good", "partition": 0})
    # One good message before, so that the poison does not fail the first batch's set-up alone.
    consumer = pipeline.consumer().wait_until_ready()
    pipeline.kafka.produce(pipeline.success, messages)
    pipeline.wait_until_stored()
    rows = pipeline.checks("w.name = 'good'")
    assert len(rows) == len(bad) + 1
    assert pipeline.count() == len(rows), "nothing bad became a row"
    offsets = {1 + 2 * i: label for i, label in enumerate(bad)}
    in_topic = {}
    for letter in pipeline.kafka.read(pipeline.dead_letters):
        headers = events.headers_of(letter)
        assert headers["dlq.topic"] == pipeline.success and headers["dlq.partition"] == "0"
        label = offsets[int(headers["dlq.offset"])]
        payload, reason = bad[label]
        assert letter.value() == payload, f"{label}: the bytes were changed"
        assert letter.key() == b"bad"
        assert headers["dlq.reason"] and reason in (None, headers["dlq.reason"]), (label, headers)
        in_topic[label] = headers["dlq.reason"]
    assert set(in_topic) == set(bad) - {"2 MB"}, "the topic takes no 2 MB"
    letters = {offsets[row["offset"]]: row for row in pipeline.query("SELECT * FROM dead_letters")}
    assert set(letters) == set(bad)
    for label, row in letters.items():
        payload = bad[label][0] or b""
        assert row["topic"] == pipeline.success and row["partition"] == 0
        kept = None if row["payload"] is None else bytes(row["payload"])
        assert kept == (None if bad[label][0] is None else payload[:65536]), label
        assert row["payload_bytes"] == len(payload)
        assert bytes(row["payload_sha256"]) == hashlib.sha256(payload).digest()
        assert row["in_topic"] == (label != "2 MB")
        assert row["reason"] == in_topic.get(label, "too_large"), label
    metrics = consumer.metrics()
    assert sitewatch.metric_sum(metrics, "sitewatch_dead_letters_total") == len(bad)
    assert sitewatch.metric_sum(metrics, "sitewatch_dead_letters_refused_total") == 1
    assert sitewatch.metric_sum(metrics, "sitewatch_batch_rows_sum") == len(bad) + len(rows)
    batches = sitewatch.metric_sum(metrics, "sitewatch_batch_rows_count")
    assert 1 <= batches == sitewatch.metric_sum(metrics, "sitewatch_commit_seconds_count")
    assert sitewatch.metric_sum(metrics, "sitewatch_rows_total") == len(rows)
    assert sitewatch.metric_sum(metrics, "sitewatch_duplicates_total") == 0
    consumer.terminate()


def test_a_repeated_event_is_stored_once_and_counted(pipeline):
    consumer = pipeline.consumer().wait_until_ready()
    event = numbered("twice", 0)
    pipeline.kafka.produce(pipeline.success, [{"value": event, "key": "twice"}])
    pipeline.wait_for_rows(1)
    pipeline.kafka.produce(pipeline.success, [{"value": event, "key": "twice"},
                                              {"value": numbered("twice", 1), "key": "twice"}])
    pipeline.wait_for_rows(2)
    pipeline.wait_until_stored()
    assert pipeline.count() == 2
    assert sitewatch.metric_sum(consumer.metrics(), "sitewatch_duplicates_total") == 1
    consumer.terminate()


def test_a_site_made_from_an_event_shows_no_password_of_its_url(pipeline):
    urls = {"with both": ("https://user:pass@word@host.example/a@b?c@d", "https://host.example/a@b?c@d"),
            "with a user": ("http://user@host.example", "http://host.example"),
            "without": ("http://host.example/~a@b#c@d", "http://host.example/~a@b#c@d")}
    consumer = pipeline.consumer().wait_until_ready()
    pipeline.kafka.produce(pipeline.success, [
        {"value": events.encode(events.make(name, site={"name": name, "url": url}))}
        for name, (url, _) in urls.items()])
    pipeline.wait_until_stored()
    rows = pipeline.query("SELECT name, website_url, source FROM websites")
    assert {row["name"]: row["website_url"] for row in rows} == {name: shown for name, (_, shown) in urls.items()}
    assert {row["source"] for row in rows} == {"event"}
    consumer.terminate()


def test_two_consumers_started_at_once_on_an_empty_server_make_one_database(pipeline):
    assert not pipeline.postgres.has_database(pipeline.database)
    both = [pipeline.consumer(), pipeline.consumer()]
    for consumer in both:
        consumer.wait_until_ready()
    known = sorted(p.stem for p in (process.ROOT / "sql").glob("[0-9]*.sql"))
    applied = [line for c in both for line in c.has_line('msg="migration applied"')]
    assert len(applied) == len(known), applied
    recorded = pipeline.query("SELECT version, checksum FROM schema_migrations ORDER BY version")
    assert [row["version"] for row in recorded] == [int(name[:4]) for name in known]
    pipeline.kafka.produce(pipeline.success, [
        {"value": numbered(f"s{i}", i % 50), "key": f"s{i}"} for i in range(500)])
    pipeline.wait_until_stored()
    assert pipeline.count() == pipeline.count("websites") == 500
    for consumer in both:
        consumer.terminate()


def test_migrate_says_what_it_did_and_then_that_there_is_nothing_to_do(pipeline):
    first = sitewatch.run("consumer", "migrate", env=pipeline.env)
    assert first.returncode == 0, first.stderr
    for migration in (process.ROOT / "sql").glob("[0-9]*.sql"):
        assert migration.stem in first.stdout
    before = pipeline.query("SELECT * FROM schema_migrations")
    again = sitewatch.run("consumer", "migrate", env=pipeline.env)
    assert again.returncode == 0 and "applied" not in again.stdout
    assert pipeline.query("SELECT * FROM schema_migrations") == before


def test_a_day_past_the_retention_is_dropped_at_the_start(pipeline):
    assert sitewatch.run("consumer", "migrate", env=pipeline.env).returncode == 0
    for days_ago in (10, 2):
        pipeline.query("SELECT checks_make_day(current_date - %s)", days_ago)
    consumer = pipeline.consumer("--retention-days", "7")
    consumer.wait_for_line('msg="day dropped".*retention_days=7')
    assert sitewatch.metric_sum(consumer.metrics(), "sitewatch_partitions_dropped_total") == 1
    days = pipeline.query("SELECT current_date - to_date(right(relname, 8), 'YYYYMMDD') AS ago "
                          "FROM pg_class WHERE relname ~ '^checks_[0-9]{8}$'")
    assert max(row["ago"] for row in days) == 2
    consumer.terminate()


def test_seeding_twice_changes_nothing(pipeline):
    sitewatch.run("consumer", "migrate", env=pipeline.env)
    targets = pipeline.targets_file('targets = ({ name = "a"; url = "http://a.example/"; seconds = 30; },'
                                    '{ name = "b"; url = "http://b.example/"; seconds = 60;'
                                    ' pattern = "v(\\\\d+)"; });')
    for _ in range(2):
        done = sitewatch.run("consumer", "seed", targets, env=pipeline.env)
        assert done.returncode == 0, done.stderr
        rows = pipeline.query("SELECT * FROM websites ORDER BY name")
        assert [(r["name"], r["monitoring_interval"], r["regex"], r["version"], r["source"])
                for r in rows] == [("a", 30, None, 1, "file"), ("b", 60, r"v(\d+)", 1, "file")]


@pytest.mark.own_servers
@pytest.mark.parametrize("how", ["stop", "crash"])
def test_postgres_away_loses_nothing_and_keeps_the_group_membership(pipeline, sited, how):
    """Longer away than the group forgives a consumer that does not poll."""
    run = f"/ok?away={pipeline.id}&site="
    text = "targets = (" + ",".join(
        f'{{ url = "{sited.url(run)}{i}"; seconds = 1; }}' for i in range(40)) + ");"
    consumer = pipeline.consumer(
        KAFKA_PROPERTIES="max.poll.interval.ms=4000;session.timeout.ms=4000").wait_until_ready()
    producer = pipeline.producer("--targets-file", pipeline.targets_file(text))
    pipeline.wait_for_rows(80)
    given = len(consumer.has_line('msg="partition given"'))
    getattr(pipeline.postgres, how)()
    try:
        published = pipeline.published()
        process.wait_for(lambda: pipeline.published() >= published + 40 * 7, "7 s of checks", 30)
        assert consumer.get("/readyz")[0] == 503
        assert consumer.get("/healthz")[0] == 200
    finally:
        pipeline.postgres.start()
    pipeline.wait_for_rows(published + 40 * 7, seconds=40)
    producer.terminate()
    pipeline.wait_until_stored()
    counted = sited.counts(run)
    assert pipeline.count() == sum(counted.values())
    assert pipeline.count("dead_letters") == 0
    assert sitewatch.metric_sum(consumer.metrics(), "sitewatch_duplicates_total") == 0
    assert len(consumer.has_line('msg="partition given"')) == given
    assert not consumer.has_line('msg="partition (lost|revoked)"')
    consumer.terminate()


def test_a_second_consumer_takes_its_share_and_hands_it_back(pipeline):
    first = pipeline.consumer().wait_until_ready()
    batch = [{"value": numbered(f"one{i}", i % 50), "key": f"k{i}"} for i in range(400)]
    pipeline.kafka.produce(pipeline.success, batch)
    second = pipeline.consumer().wait_until_ready()
    second.wait_for_line('msg="partition claimed"')
    pipeline.kafka.produce(pipeline.success, [
        {"value": numbered(f"two{i}", i % 50), "key": f"k{i}"} for i in range(400)])
    second.terminate()
    pipeline.kafka.produce(pipeline.success, [
        {"value": numbered(f"three{i}", i % 50), "key": f"k{i}"} for i in range(400)])
    pipeline.wait_until_stored()
    assert pipeline.count() == 1200
    assert sitewatch.metric_sum(first.metrics(), "sitewatch_duplicates_total") == 0
    first.terminate()


def test_a_consumer_that_slept_past_its_session_stores_nothing_twice(pipeline):
    session = {"KAFKA_PROPERTIES": "session.timeout.ms=6000"}
    sleeper = pipeline.consumer(**session).wait_until_ready()
    pipeline.kafka.produce(pipeline.success, [
        {"value": numbered(f"one{i}", i % 50), "key": f"k{i}"} for i in range(400)])
    pipeline.wait_until_stored()
    sleeper.signal(signal.SIGSTOP)
    pipeline.kafka.produce(pipeline.success, [
        {"value": numbered(f"two{i}", i % 50), "key": f"k{i}"} for i in range(400)])
    other = pipeline.consumer(**session).wait_until_ready(60)
    pipeline.wait_until_stored()
    sleeper.signal(signal.SIGCONT)
    sleeper.wait_for_line('msg="partition lost"|msg="claim lost')
    pipeline.kafka.produce(pipeline.success, [
        {"value": numbered(f"three{i}", i % 50), "key": f"k{i}"} for i in range(400)])
    pipeline.wait_until_stored()
    assert pipeline.count() == 1200
    for consumer in (sleeper, other):
        assert sitewatch.metric_sum(consumer.metrics(), "sitewatch_duplicates_total") == 0
        consumer.terminate()


def test_a_batch_is_stored_when_it_holds_as_much_as_it_may(pipeline):
    consumer = pipeline.consumer(BATCH_MB="1", BATCH_MS="60000").wait_until_ready()
    pipeline.kafka.produce(pipeline.success, [{"value": numbered(f"full{i}", i % 50)} for i in range(10_000)])
    pipeline.wait_for_rows(1)
    assert consumer.metrics()["sitewatch_batch_rows_count"] >= 1
    process.wait_for(lambda: sitewatch.metric_sum(consumer.metrics(), "sitewatch_consumer_lag") == 0, "all to be read")
    consumer.terminate()
    assert pipeline.count() == 10_000, "at its end it stores what it holds"


def test_workers_share_what_a_batch_may_hold(pipeline):
    pipeline.kafka.produce(pipeline.success, [
        {"value": numbered(f"share{i}", i % 50), "key": f"k{i}"} for i in range(8_000)])
    consumer = pipeline.consumer(WORKERS="2", BATCH_ROWS="1900").wait_until_ready()
    pipeline.wait_until_stored()
    metrics = consumer.metrics()
    assert metrics["sitewatch_batch_rows_sum"] == 8_000
    assert metrics['sitewatch_batch_rows_bucket{le="1000.0"}'] == metrics["sitewatch_batch_rows_count"]
    consumer.terminate()


def test_a_batch_of_many_rows_is_stored_before_it_is_old(pipeline):
    consumer = pipeline.consumer(BATCH_MS="60000").wait_until_ready()
    pipeline.kafka.produce(pipeline.success, [{"value": numbered(f"many{i // 50}", i % 50)} for i in range(12_000)])
    pipeline.wait_for_rows(10_000)
    consumer.terminate()
    assert pipeline.count() == 12_000


@pytest.mark.own_servers
def test_an_offset_outside_the_log_is_said_and_reading_goes_on(pipeline):
    def produce(name, count):
        pipeline.kafka.produce(pipeline.success, [
            {"value": numbered(f"{name}{i}", i % 50), "partition": 0} for i in range(count)])

    produce("one", 100)
    first = pipeline.consumer().wait_until_ready()
    pipeline.wait_until_stored()
    first.terminate()
    produce("two", 50)
    pipeline.kafka.delete_records(pipeline.success, 0, 130)
    second = pipeline.consumer().wait_until_ready()
    line = second.wait_for_line("stored offset is outside the log")
    assert "stored=100" in line and "low=130" in line and "skipped=30" in line, line
    pipeline.wait_until_stored()
    assert pipeline.count() == 120
    assert sitewatch.metric_sum(second.metrics(), "sitewatch_offsets_skipped_total") == 30
    second.terminate()


@pytest.mark.own_servers
def test_a_postgres_that_starts_later_is_waited_for(pipeline):
    pipeline.postgres.stop()
    try:
        consumer = pipeline.consumer()
        consumer.wait_for_line("waiting for Postgres")
        assert consumer.get("/readyz")[0] == 503
    finally:
        pipeline.postgres.start()
    consumer.wait_until_ready()
    consumer.terminate()


@pytest.mark.own_servers  # that take any password
def test_log_of_a_consumer_never_holds_the_password(pipeline):
    env = {"POSTGRES_DSN": pipeline.env["POSTGRES_DSN"] + " password=open-sesame", "LOG_LEVEL": "debug"}
    consumer = pipeline.consumer(**env).wait_until_ready()
    consumer.terminate()
    assert "open-sesame" not in pathlib.Path(consumer.log).read_text()
