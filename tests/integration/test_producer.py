"""The producer's own life: once, JSON, reload, drain, targets files it refuses."""

import calendar
import hashlib
import json
import pathlib
import re
import signal
import socket
import time

import pytest

from stand import events, process, sitewatch
from stand.sites import target, targets

BAD_TARGETS = sorted((process.ROOT / "tests/targets/bad").glob("*.conf"))


def test_once_prints_a_line_for_each_site_and_needs_no_kafka(sited, no_kafka, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(target("first", sited.url("/ok")), target("second", sited.url("/1xx"))))
    done = sitewatch.run("producer", "--once", "--targets-file", path, env=no_kafka)
    assert done.returncode == 0, done.stderr
    for name in ("first", "second"):
        line = [l for l in done.stdout.splitlines() if name in l]
        assert len(line) == 1 and "up" in line[0] and "200" in line[0], done.stdout


def test_once_ends_with_1_when_any_site_is_not_up(sited, no_kafka, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(target("well", sited.url("/ok")), target("ill", sited.url("/status/500"))))
    done = sitewatch.run("producer", "--once", "--targets-file", path, env=no_kafka)
    assert done.returncode == 1
    assert re.search(r"\bdown\b.*\bill\b", done.stdout), done.stdout


def test_once_ends_when_its_last_check_does(sited, no_kafka):
    """A loop that nothing wakes any more looks up once a second: the fastest of three runs has not waited for that."""
    took = []
    for _ in range(3):
        started = time.monotonic()
        assert sitewatch.run("producer", "--once", "--url", sited.url("/ok?ends"), env=no_kafka).returncode == 0
        took.append(time.monotonic() - started)
    assert min(took) < 0.95, took


def test_once_confirms_a_failure_and_counts_the_last_attempt(sited, no_kafka, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(target("ill", sited.url("/status/500"), "seconds = 10; retries = 1;")))
    done = sitewatch.run("producer", "--once", "--targets-file", path, env=no_kafka)
    assert done.returncode == 1
    assert len(re.findall(r"\bill\b", done.stdout)) == 1, done.stdout
    done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", path, env=no_kafka)
    assert done.returncode == 1
    first, last = map(json.loads, done.stdout.splitlines())
    for event in (first, last):
        events.check(event)
    assert [(e["attempt"], e["final"]) for e in (first, last)] == [(1, False), (2, True)]
    assert first["slot"] == last["slot"] and first["id"] != last["id"]


def test_verdicts_on_headers_json_and_addresses(sited, no_kafka, tmp_path):
    path = tmp_path / "sites.conf"
    json_body = json.dumps({"a": {"b": ["x"]}}).encode().hex()
    answer = sited.url(f"/bytes?hex={json_body}")
    path.write_text(targets(
        target("headers", answer, 'header_pattern = "(?im)^content-length: *\\\\d";'),
        target("other headers", answer, 'header_pattern = "(?im)^x-nobody:";'),
        target("json", answer, 'json_path = "$.a[\'b\'][0]"; json_value = "x";'),
        target("other json", answer, 'json_path = "$.a.c";'),
        target("no json", sited.url("/ok"), 'json_path = "$";'),
        target("blocked", answer, "allow_private = false;")))
    done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", path, env=no_kafka)
    assert done.returncode == 1
    found = {}
    for event in map(json.loads, done.stdout.splitlines()):
        events.check(event)
        found[event["site"]["name"]] = event.get("error", {"type": "none"})
    assert {name: error["type"] for name, error in found.items()} == {
        "headers": "none", "other headers": "header", "json": "none", "other json": "json",
        "no json": "json", "blocked": "blocked_address"}
    assert found["other json"]["message"] == "$.a has no .c"
    assert found["blocked"]["message"].endswith(" is loopback, and allow_private is false")


def test_once_with_json_prints_valid_events(sited, no_kafka, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(
        target("first", sited.url("/ok"), 'seconds = 5; pattern = "v=(\\\\d+)";'),
        target("bytes", sited.url("/bytes?hex=763d00ff80c3"), 'seconds = 5; pattern = "v=(.*)";'),
        target("gone", "http://gone.invalid/")))
    done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", path, env=no_kafka)
    assert done.returncode == 1
    found = {e["site"]["name"]: e for e in map(json.loads, done.stdout.splitlines())}
    assert set(found) == {"first", "bytes", "gone"}
    for event in found.values():
        events.check(event)
    assert found["first"]["pattern"] == {"matched": True, "answers": [["v=42", "42"]]}
    assert "\0" not in json.dumps(found["bytes"], ensure_ascii=False)
    assert found["gone"]["error"]["type"] == "dns_not_found"


def test_json_output_goes_on_without_kafka(sited, no_kafka, programs):
    producer = programs("producer", "--url", sited.url("/ok?json"), "--seconds", 1, "--output", "json",
                        env=no_kafka)
    process.wait_for(lambda: len(producer.events()) >= 3, "three events")
    producer.terminate()
    slots = []
    for event in producer.events():
        events.check(event)
        slots.append(event["slot"])
    assert len(set(slots)) == len(slots)


def test_slots_of_a_site_are_on_its_grid(sited, no_kafka, programs, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(*(target(f"grid {i}", sited.url(f"/ok?grid={i}"), "seconds = 2;")
                              for i in range(5))))
    producer = programs("producer", "--targets-file", path, "--output", "json", env=no_kafka)
    process.wait_for(lambda: len(producer.events()) >= 15, "three rounds")
    producer.terminate()
    assert all(on_grid(event) for event in producer.events())


def on_grid(event):
    """Whether its slot is one that its name leads to."""
    at = time.strptime(event["slot"][:19], "%Y-%m-%dT%H:%M:%S")
    slot_ms = calendar.timegm(at) * 1000 + int(event["slot"][20:23])
    phase = int.from_bytes(hashlib.sha1(event["site"]["name"].encode()).digest()[:8], "big")
    return (slot_ms - phase) % (event["interval_s"] * 1000) == 0


def test_sighup_takes_new_sites_over_and_a_bad_file_keeps_the_old_ones(sited, pipeline):
    def asked(name):
        return sited.counts(f"/ok?reload={pipeline.id}-{name}").get(f"/ok?reload={pipeline.id}-{name}", 0)

    def url(name):
        return sited.url(f"/ok?reload={pipeline.id}-{name}")

    path = pipeline.targets_file(targets(target("a", url("a"))))
    producer = pipeline.producer("--targets-file", path)
    process.wait_for(lambda: asked("a") >= 1, "a check of a")
    # A new site is checked at once, though its interval is long.
    path.write_text(targets(target("a", url("a")), target("b", url("b"), "seconds = 3600;")))
    producer.signal(signal.SIGHUP)
    process.wait_for(lambda: asked("b") >= 1, "a check of b", 5)
    # A bad file: said with its line, and both go on.
    path.write_text(targets(target("a", url("a"))) + "nonsense = ;\n")
    producer.signal(signal.SIGHUP)
    producer.wait_for_line(re.escape(str(path)) + r":\d+")
    before = asked("a")
    process.wait_for(lambda: asked("a") >= before + 2, "checks of a after a bad reload")
    # One site less.
    path.write_text(targets(target("c", url("c"))))
    producer.signal(signal.SIGHUP)
    process.wait_for(lambda: asked("c") >= 1, "a check of c", 5)
    gone = asked("a")
    process.wait_for(lambda: asked("c") >= 4, "more checks of c")
    assert asked("a") <= gone + 1, "the check that was in flight may still have ended"
    assert asked("b") == 1
    producer.terminate()


def test_a_producer_that_cannot_listen_ends_before_it_checks(sited, no_kafka):
    """One that is started again and again would check its sites each time."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        there = f"127.0.0.1:{taken.getsockname()[1]}"
        for listen, status in [("nonsense", 2), (there, 1)] + 5 * [("192.0.2.1:80", 1)]:  # not ours
            done = sitewatch.run("producer", "--output", "json", "--url", sited.url("/ok?listens"),
                                 env={**no_kafka, "LISTEN": listen})
            assert done.returncode == status, done.stderr
            assert f'listen: "{listen}"' in done.stderr.splitlines()[-1]
            assert done.stdout == ""
    assert not sited.counts("/ok?listens")


@pytest.mark.parametrize(("args", "asked"), [
    ([], {"rare"}), (["--check-on-start"], {"rare", "often"}), (["--check-on-start=no"], set()),
], ids=" ".join)
def test_which_sites_a_start_checks_at_once(sited, no_kafka, programs, tmp_path, request, args, asked):
    """The others wait for their slot, which for one of these is within a second."""
    def url(name):
        return sited.url(f"/ok?start={request.node.callspec.id}-{name}".replace(" ", "-"))

    path = tmp_path / "sites.conf"
    path.write_text(targets(target("clock", url("clock")), target("often", url("often"), "seconds = 60;"),
                            target("rare", url("rare"), "seconds = 86400;")))
    producer = programs("producer", "--targets-file", path, "--output", "json", *args, env=no_kafka)
    process.wait_for(lambda: sum(e["site"]["name"] == "clock" for e in producer.events()) >= 2, "two slots")
    # Of 60 and 86,400 s hardly one is among them: what is on its grid was not checked by the start.
    begun = {e["site"]["name"] for e in producer.events()
             if e["site"]["name"] != "clock" and not on_grid(e)}
    assert begun == asked
    producer.terminate()


def test_sigterm_lets_the_check_in_flight_end_and_delivers_it(sited, pipeline):
    path = f"/slow/1500?drain={pipeline.id}"
    producer = pipeline.producer("--url", sited.url(path), "--seconds", 60)
    process.wait_for(lambda: sited.counts(path), "the check to begin")
    producer.terminate()
    messages = pipeline.kafka.read(pipeline.success)
    assert [json.loads(m.value())["status"] for m in messages] == ["up"]


def test_a_second_signal_ends_it_at_once(sited, pipeline):
    path = f"/slow/60000?twice={pipeline.id}"
    producer = pipeline.producer("--targets-file", pipeline.targets_file(targets(
        target("slow", sited.url(path), "seconds = 90; timeout_ms = 80000;"))), "--check-on-start")
    process.wait_for(lambda: sited.counts(path), "the check to begin")
    producer.signal(signal.SIGTERM)
    producer.wait_for_line("drain")
    assert producer.process.poll() is None, "it waits for its check"
    producer.signal(signal.SIGTERM)
    assert producer.wait(10) in (0, 1)  # to drain would take 20 s
    assert producer.has_line("second signal, leaving at once")


def test_a_check_that_takes_longer_than_the_drain_is_cut_off_and_said(sited, pipeline):
    path = f"/slow/60000?cut={pipeline.id}"
    producer = pipeline.producer("--targets-file", pipeline.targets_file(targets(
        target("slow", sited.url(path), "seconds = 90; timeout_ms = 80000;"))), "--check-on-start", "--drain-seconds", 1)
    process.wait_for(lambda: sited.counts(path), "the check to begin")
    producer.terminate()
    assert "checks=1" in producer.wait_for_line("checks were cut off by the deadline")
    assert pipeline.published() == 0, "nothing was found of the site"


def test_a_second_signal_ends_it_while_events_wait_for_kafka(sited, no_kafka, programs):
    path = "/ok?twice-away"
    producer = programs("producer", "--url", sited.url(path), "--seconds", 60, "--drain-seconds", 60, env=no_kafka)
    process.wait_for(lambda: sited.counts(path), "the check")
    process.wait_for(lambda: producer.metrics()["sitewatch_checks_in_flight"] == 0, "its end")
    producer.signal(signal.SIGTERM)
    producer.wait_for_line("draining")
    # From here on it waits for Kafka alone, and a thread for the signal.
    process.wait_for(lambda: producer.has_thread("second signal"), "the thread that waits for a signal")
    assert producer.process.poll() is None, "its event is not delivered"
    producer.signal(signal.SIGINT)
    assert producer.wait(5) == 0
    assert producer.has_line("another signal, servers are not waited for")


def test_a_producer_whose_topic_of_sites_waits_for_a_broker_ends_at_once(no_kafka, programs):
    producer = programs("producer", "--targets-topic", "sites", env=no_kafka)
    producer.wait_for_line("brokers are down")
    producer.terminate(3)


def test_a_producer_whose_checks_wait_for_kafka_is_not_ready(sited, no_kafka, programs):
    producer = programs("producer", "--url", sited.url("/ok?not-ready"), "--seconds", 1, "--drain-seconds", 0,
                        env={**no_kafka, "KAFKA_PROPERTIES": "queue.buffering.max.messages=1"})
    # It is not ready before its first turn either.
    process.wait_for(lambda: producer.metrics()["sitewatch_events_waiting"] >= 1, "an event that waits")
    process.wait_for(lambda: producer.get("/readyz")[0] == 503, "it to be not ready")
    assert producer.get("/healthz")[0] == 200


@pytest.mark.own_servers
def test_kafka_away_delays_events_and_loses_none(sited, pipeline):
    path = f"/ok?kafka-away={pipeline.id}"
    producer = pipeline.producer("--url", sited.url(path), "--seconds", 1)
    process.wait_for(lambda: pipeline.published() >= 2, "two events")
    pipeline.kafka.pause()
    try:
        before = sited.counts(path)[path]
        process.wait_for(lambda: sited.counts(path)[path] >= before + 4, "checks without Kafka")
    finally:
        pipeline.kafka.go_on()
    producer.terminate()
    assert pipeline.published() == sited.counts(path)[path]


def test_metrics_and_health_of_a_producer(sited, pipeline):
    producer = pipeline.producer("--targets-file", pipeline.targets_file(targets(
        target("well", sited.url("/ok?metrics")), target("ill", sited.url("/status/500?metrics")))))
    process.wait_for(lambda: pipeline.published() >= 6, "six events")
    samples = producer.metrics()
    assert sitewatch.metric_sum(samples, "sitewatch_checks_total", status="up") >= 2
    assert sitewatch.metric_sum(samples, "sitewatch_checks_total", status="down") >= 2
    assert sitewatch.metric_sum(samples, "sitewatch_check_duration_seconds_count") >= 4
    assert sitewatch.histogram_quantile(samples, "sitewatch_schedule_lag_seconds", 0.5) < 1
    assert producer.get("/healthz")[0] == 200
    assert producer.get("/readyz")[0] == 200
    assert producer.get("/nothing")[0] == 404
    assert samples["sitewatch_spool_bytes"] == 0 and samples['sitewatch_events_dropped_total{reason="too_large"}'] == 0
    producer.terminate()


def test_credentials_of_a_site_are_in_no_event_and_no_log(sited, no_kafka, programs, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(
        target("user", f"http://me:open-sesame@127.0.0.1:{sited.port}/echo",
               'seconds = 1; pattern = "Authorization: Basic";'),
        target("bearer", sited.url("/status/500?bearer"), 'seconds = 1; bearer_token = "open-sesame";')))
    producer = programs("producer", "--targets-file", path, "--output", "json", env={**no_kafka, "LOG_LEVEL": "debug"})
    process.wait_for(lambda: len(producer.events()) >= 4, "two events of each")
    producer.terminate()
    assert {e["site"]["name"]: e["status"] for e in producer.events()} == {"user": "up", "bearer": "down"}
    assert "open-sesame" not in producer.stdout()
    assert "open-sesame" not in pathlib.Path(producer.log).read_text()


def test_there_are_at_least_twenty_malformed_targets_files():
    assert len(BAD_TARGETS) >= 20


@pytest.mark.parametrize("path", BAD_TARGETS, ids=[p.stem for p in BAD_TARGETS])
def test_a_malformed_targets_file_is_one_line_with_file_and_line(path, no_kafka):
    done = sitewatch.run("producer", "--targets-file", path, "--check-config", env=no_kafka)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    assert re.search(r"[\w./-]+\.(conf|inc):\d+: \S", lines[0]), lines[0]


@pytest.mark.parametrize("args", [
    ["--no-such-flag"], ["--url"], ["--url", "ftp://example.com/"], ["--url", "http://x/", "--seconds", "0"],
    ["--url", "http://x/", "--seconds", "5", "--pattern", "("], ["--targets-file", "/nonexistent.conf"], [],
    ["--url", "http://x/", "--once", "--output", "kafka"], ["--url", "http://x/", "--once", "--watch"],
], ids=["unknown flag", "no value", "not http", "interval 0", "broken pattern", "no file", "no site",
        "once into Kafka", "once and for ever"])
def test_a_wrong_command_line_ends_with_2_and_one_line(args, no_kafka):
    done = sitewatch.run("producer", *args, env=no_kafka)
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert len(done.stderr.splitlines()) == 1, done.stderr
