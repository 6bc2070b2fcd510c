"""The producer's spool: checks go on without Kafka, and none is lost, also to a kill -9."""

import os
import time

import pytest

from stand import process, sitewatch

pytestmark = pytest.mark.own_servers

SECONDS = float(os.environ.get("SPOOL_TEST_SECONDS", "6"))
SITES = int(os.environ.get("SPOOL_TEST_SITES", "300"))  # one check a second each
LOST_SECONDS_MAX = 1.0  # what was made so long before a kill may be gone, and what is in flight


@pytest.fixture
def spooled(pipeline, tmp_path):
    """A pipeline whose producer has a spool. Its Kafka runs again after the test."""
    pipeline.env["SPOOL_FILE"] = str(tmp_path / "spool.sqlite")
    yield pipeline
    if pipeline.kafka.process.poll() is not None:
        pipeline.kafka.start()


def targets_of(pipeline, sited, count):
    groups = (f'{{ name = "{pipeline.id}-{i:04}"; url = "{sited.url(f"/ok?{pipeline.id}-{i:04}")}"; '
              "seconds = 1; }" for i in range(count))
    return pipeline.targets_file("targets = (" + ",\n".join(groups) + ");\n")


def answered(pipeline, sited):
    return {path.partition("?")[2]: n for path, n in sited.counts(f"/ok?{pipeline.id}").items()}


def stored(pipeline, until=float("inf")):
    """{site: its rows of checks that began before that time}."""
    return {row["name"]: row["n"] for row in pipeline.query(
        "SELECT w.name, count(*) AS n FROM checks c JOIN websites w USING (website_id) "
        "WHERE c.http_status = 200 AND extract(epoch FROM checked_at) < %s GROUP BY 1", until)}


def test_an_outage_of_kafka_and_a_kill_of_the_producer_lose_no_check(spooled, sited):
    pipeline = spooled
    targets = targets_of(pipeline, sited, SITES)
    producer = pipeline.producer("--targets-file", targets)
    process.wait_for(lambda: sum(answered(pipeline, sited).values()) >= SITES, "checks", 30)
    pipeline.kafka.stop()
    before = sum(answered(pipeline, sited).values())
    process.wait_for(lambda: sum(answered(pipeline, sited).values()) >= before + SITES * SECONDS,
                     "checks without Kafka", SECONDS * 3 + 20)
    samples = producer.metrics()
    assert sitewatch.metric_sum(samples, "sitewatch_spool_events") > SITES
    assert sitewatch.metric_sum(samples, "sitewatch_spool_bytes") > 0
    # The last second may be gone. All that was answered before it may not.
    safe = answered(pipeline, sited)
    safe_at = time.time()
    process.wait_for(lambda: time.time() >= safe_at + LOST_SECONDS_MAX, "a second", 5, 0.01)
    producer.kill()
    all_answered = answered(pipeline, sited)

    pipeline.kafka.start()
    consumer = pipeline.consumer().wait_until_ready()
    again = pipeline.producer("--targets-file", targets)
    process.wait_for(lambda: sitewatch.metric_sum(again.metrics(), "sitewatch_spool_events") == 0
                     and sum(answered(pipeline, sited).values()) > sum(all_answered.values()),
                     "the spool to be empty", 60)
    again.terminate()
    pipeline.wait_until_stored()
    consumer.terminate()
    final = answered(pipeline, sited)
    rows, early = stored(pipeline), stored(pipeline, safe_at)
    print(f"answered {sum(final.values())}: {sum(safe.values())} before the last second, "
          f"{sum(all_answered.values()) - sum(safe.values())} in it, the others after the restart; "
          f"stored {sum(rows.values())}")
    lost = {site: n - early.get(site, 0) for site, n in safe.items() if n > early.get(site, 0)}
    assert not lost, "checks that were answered and are no rows"
    assert all(n <= final[site] for site, n in rows.items()), "a row for a check, and no more"
    made_again = {site: final[site] - all_answered[site] for site in final}
    assert all(rows[site] >= safe[site] + made_again[site] for site in safe)
    assert pipeline.query("SELECT count(*) AS n, count(DISTINCT (website_id, slot, attempt)) AS d "
                          "FROM checks")[0] == {"n": sum(rows.values()), "d": sum(rows.values())}


def test_a_spool_in_use_is_refused_and_a_damaged_one_set_aside(spooled, sited, tmp_path):
    pipeline = spooled
    path = tmp_path / "spool.sqlite"
    path.write_bytes(b"no database" * 1000)
    url = sited.url(f"/ok?damaged={pipeline.id}")
    first = pipeline.producer("--url", url, "--seconds", 1)
    first.wait_for_line(r"spool is damaged.*" + str(path))
    second = pipeline.producer("--url", url, "--seconds", 1)
    assert second.wait() == 1
    assert [line for line in second.lines if "in use by another process" in line and str(path) in line]
    process.wait_for(lambda: pipeline.published() >= 2, "events")
    first.terminate()
    assert len(list(tmp_path.glob("spool.sqlite.corrupt-*"))) == 1


def test_a_producer_that_is_stopped_during_an_outage_keeps_its_events(spooled, sited):
    pipeline = spooled
    path = f"/ok?stopped={pipeline.id}"
    producer = pipeline.producer("--url", sited.url(path), "--seconds", 1)
    process.wait_for(lambda: pipeline.published() >= 1, "an event")
    pipeline.kafka.stop()
    producer.wait_for_line("no Kafka broker is reached")
    before = sited.counts(path)[path]
    process.wait_for(lambda: sited.counts(path)[path] >= before + 3, "checks without Kafka")
    producer.terminate()
    producer.wait_for_line("events are kept in the spool")
    made = sited.counts(path)[path]
    pipeline.kafka.start()
    again = pipeline.producer("--url", sited.url(path), "--seconds", 3600)
    process.wait_for(lambda: pipeline.published() >= made + 1, "the events of both runs")
    again.terminate()
    assert pipeline.published() == sited.counts(path)[path]


def test_the_directory_of_systemd_is_where_the_spool_is(programs, sited, tmp_path):
    env = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "LISTEN": "off", "STATE_DIRECTORY": f"{tmp_path}:/other"}
    args = ("--url", sited.url("/ok?systemd"), "--seconds", 60)
    producer = programs("producer", *args, env=env)
    producer.wait_for_line(f"spool file={tmp_path}/spool.sqlite")
    process.wait_for((tmp_path / "spool.sqlite").exists, "the file")
    programs("producer", *args, env={**env, "SPOOL_FILE": "off"}).wait_for_line("no spool")
