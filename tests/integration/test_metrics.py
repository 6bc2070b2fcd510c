"""What the programs show of themselves: names, text, and that Prometheus takes it."""

import calendar
import gzip
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from stand import process, sites, sitewatch
from stand.prometheus import Prometheus
from stand.sites import target, targets

DOCUMENTED = process.ROOT / "docs/metrics.md"
TEXT = {"Accept": "text/plain"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.fixture
def three(pipeline, sited):
    """A producer with a spool, a consumer and an api, with something to show: {name: (program, port)}."""
    path = pipeline.targets_file(targets(
        target("well", sited.url("/ok?three")), target("ill", sited.url("/status/503?three")),
        target('a \\"b\\" \\\\ é', sited.url("/ok?odd"))))
    producer = pipeline.producer("--targets-file", path, SPOOL_FILE=str(pipeline.directory / "spool.sqlite"),
                                 SPOOL_MAX_MB="3")
    consumer = pipeline.consumer()
    pipeline.wait_for_rows(6)
    api = pipeline.start("api", "--listen", "127.0.0.1:0", env={"POSTGRES_DSN": pipeline.env["POSTGRES_DSN"]})
    found = {}
    for name, program, said in (("producer", producer, sitewatch.ADMIN), ("consumer", consumer, sitewatch.ADMIN),
                                ("api", api, re.compile(r"msg=serving.*port=(\d+)"))):
        port = int(said.search(program.wait_for_line(said)).group(1))
        process.wait_for(lambda port=port: is_ready(port), f"{name} to be ready", 60)
        found[name] = (program, port)
    return found


def is_ready(port):
    try:
        return get(port, "/readyz")[0] == 200
    except urllib.error.HTTPError:
        return False


def get(port, path, headers=None):
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers or {})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return answer.status, answer.headers, answer.read().decode()


def families_of(text):
    return {m.group(1): m.group(2) for m in re.finditer(r"^# TYPE (\S+) (\S+)$", text, re.M)}


def documented(program):
    """({name as it is shown: type} of the program's table, those that are shown only with something)."""
    section = DOCUMENTED.read_text().split(f"\n## {program.capitalize()}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|(.*)", section, re.M)
    return {name: kind for name, kind, _ in rows}, {name for name, _, what in rows if "only with " in what}


def test_each_program_shows_what_is_documented_and_promtool_finds_nothing_wrong(three):
    for name, (_, port) in three.items():
        status, headers, text = get(port, "/metrics", TEXT)
        assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        shown, (rows, conditional) = families_of(text), documented(name)
        assert shown.items() <= rows.items(), shown.items() - rows.items()
        assert set(rows) - set(shown) <= conditional, set(rows) - set(shown) - conditional
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=False,
                                 capture_output=True)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, ""), name
        status, headers, text = get(port, "/metrics")
        assert status == 200 and headers["Content-Type"] == OPENMETRICS
        sitewatch.parse_metrics(text)
        assert get(port, "/healthz")[0] == 200
        assert get(port, "/readyz")[0] == 200


def test_the_ceiling_of_the_spool_is_the_one_that_was_set(three):
    _, port = three["producer"]
    assert sitewatch.parse_metrics(get(port, "/metrics")[2])["sitewatch_spool_limit_bytes"] == 3 * 1024 * 1024


def test_a_prometheus_scrapes_all_three_and_gives_the_series_back(three, tmp_path):
    prometheus = Prometheus(tmp_path, {name: port for name, (_, port) in three.items()})
    try:
        def scraped(wanted):
            return lambda: all(prometheus.query(expression) for expression in wanted)

        process.wait_for(scraped([f'up{{job="{name}"}} == 1' for name in three]), "three programs to be up")
        process.wait_for(scraped([
            'probe_success{site="well",location="local"} == 1', 'probe_success{site="ill"} == 0',
            'probe_http_status_code{site="ill"} == 503', 'probe_success{site="a \\"b\\" \\\\ é"} == 1',
            'sitewatch_rows_total{job="consumer"} >= 6', "sitewatch_consumer_lag",
            'sitewatch_api_requests_total{class="2xx"} >= 1',
            "rate(sitewatch_checks_total[5s]) > 0",
            "histogram_quantile(0.99, sum by (le) (rate(sitewatch_schedule_lag_seconds_bucket[5s]))) < 60",
        ]), "the series to be there")
        phases = {labels["phase"]: value for labels, value in
                  prometheus.query('probe_http_duration_seconds{site="well"}')}
        (_, total), = prometheus.query('probe_duration_seconds{site="well"}')
        assert set(phases) <= {"resolve", "connect", "tls", "processing", "transfer"}
        assert {"connect", "processing", "transfer"} <= set(phases)
        assert 0 < total < 10 and all(0 <= value < 10 for value in phases.values())
        for scrape in prometheus.api("targets")["activeTargets"]:
            assert scrape["lastError"] == "", scrape
    finally:
        prometheus.close()


def test_events_that_kafka_does_not_take_are_shown(programs, sited, no_kafka):
    args = ("--seconds", 1, "--check-on-start", "--drain-seconds", 0)
    producer = programs("producer", "--url", sited.url("/ok?queued"), *args, env=no_kafka)
    process.wait_for(lambda: producer.metrics()["sitewatch_events_queued"] >= 1, "an event in librdkafka's queue")
    assert producer.metrics()["sitewatch_events_waiting"] == 0
    small = {**no_kafka, "KAFKA_PROPERTIES": "queue.buffering.max.messages=1"}
    full = programs("producer", "--url", sited.url("/ok?full"), *args, env=small)
    process.wait_for(lambda: full.metrics()["sitewatch_events_waiting"] == 1, "an event that waits for room")
    assert full.metrics()["sitewatch_events_queued"] == 1
    assert full.metrics()["sitewatch_queue_full_total"] >= 1


def test_metrics_are_compressed_for_who_takes_that(programs, sited, no_kafka):
    producer = programs("producer", "--url", sited.url("/ok?gzip"), "--seconds", 1, "--output", "json", env=no_kafka)
    port = int(producer.admin_url("").rpartition(":")[2])
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in answer.headers["Vary"]
        sitewatch.parse_metrics(gzip.decompress(answer.read()).decode())
    assert "Content-Encoding" not in get(port, "/metrics")[1]


def sites_shown(producer):
    found = re.findall(r'^probe_success\{site="(\w+)"', producer.get("/metrics")[1], re.M)
    assert len(found) == len(set(found)), found
    return set(found)


def test_series_of_sites_come_with_a_reload_and_leave_with_it(sited, no_kafka, programs, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(target("a", sited.url("/ok?a")), target("b", sited.url("/ok?b"))))
    producer = programs("producer", "--targets-file", path, "--output", "json", "--threads", 2, env=no_kafka)
    process.wait_for(lambda: sites_shown(producer) == {"a", "b"}, "series of both")
    path.write_text(targets(target("b", sited.url("/status/500?b")), target("c", sited.url("/ok?c"))))
    producer.signal(signal.SIGHUP)
    process.wait_for(lambda: sites_shown(producer) == {"b", "c"}, "series of those that stay")
    samples = producer.metrics()
    assert samples['probe_success{site="b",location="local"}'] == 0
    assert samples['probe_http_status_code{site="b",location="local"}'] == 500
    producer.terminate()


def test_series_of_sites_have_a_limit_and_can_be_switched_off(sited, no_kafka, programs, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(*(target(f"site{i}", sited.url(f"/ok?limit={i}")) for i in range(5))))
    some = programs("producer", "--targets-file", path, "--output", "json", "--site-metrics-max", 2, env=no_kafka)
    none = programs("producer", "--targets-file", path, "--output", "json", "--site-metrics-max", 0, env=no_kafka)
    process.wait_for(lambda: len(some.events()) >= 10 and len(none.events()) >= 10, "two rounds")
    assert len(sites_shown(some)) == 2
    assert some.metrics()["sitewatch_results_not_shown_total"] >= 3
    assert "probe_" not in none.get("/metrics")[1]
    assert "sitewatch_results_not_shown" not in none.get("/metrics")[1]


def test_the_end_of_a_certificate_is_that_of_its_site(certs, no_kafka, programs, tmp_path):
    server = sites.TlsSite(certs, "good")
    try:
        path = tmp_path / "sites.conf"
        path.write_text(targets(target("tls", server.url(), f'seconds = 1; ca_file = "{certs}/ca.pem";')))
        producer = programs("producer", "--targets-file", path, "--output", "json", env=no_kafka)
        process.wait_for(lambda: sites_shown(producer) == {"tls"}, "its series")
        samples = producer.metrics()
    finally:
        server.close()
    ends = calendar.timegm(time.strptime(producer.events()[0]["tls"]["not_after"], "%Y-%m-%dT%H:%M:%SZ"))
    assert samples['probe_ssl_earliest_cert_expiry{site="tls",location="local"}'] == ends
    assert samples['probe_http_duration_seconds{phase="tls",site="tls",location="local"}'] > 0


def test_a_site_that_could_not_be_judged_has_no_series(sited, no_kafka, programs, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(target("known", sited.url("/ok?known")), target("lost", "http://nowhere.test/")))
    producer = programs("producer", "--targets-file", path, "--output", "json", "--dns-servers", "127.0.0.1:1",
                        env=no_kafka)
    process.wait_for(lambda: {(e["site"]["name"], e["status"]) for e in producer.events()} ==
                     {("known", "up"), ("lost", "unknown")}, "a check of both")
    assert sites_shown(producer) == {"known"}
    producer.terminate()
