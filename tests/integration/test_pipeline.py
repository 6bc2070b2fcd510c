"""Sites to rows: what one site, failing sites and a lot of sites come to in Postgres."""

import datetime
import json
import os
import subprocess
import time

from stand import events, process, sites, sitewatch

LOAD_SITES = int(os.environ.get("LOAD_SITES", "300"))
LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS", "15"))
LOAD_KILLS = 5
LAG_P999_US_MAX = 100_000
# The limits of time hold for a release build on a machine with nothing else to do.
ASSERT_TIMES = os.environ.get("LOAD_ASSERT_TIMES") == "1"


def test_one_site_by_flags_is_a_row_within_two_seconds_of_its_check(pipeline, sited):
    """Phases, status and every capture are in checks, and in monitoring_data."""
    body = "v=42 build=17 v=7".encode().hex()
    pipeline.consumer().wait_until_ready()
    producer = pipeline.producer("--url", sited.url(f"/bytes?hex={body}"), "--seconds", 5,
                                 "--pattern", r"v=(\d+)")
    pipeline.wait_for_rows(1)
    seen = datetime.datetime.now(datetime.timezone.utc)
    row = pipeline.checks()[0]
    assert (seen - row["checked_at"]).total_seconds() < (2 if ASSERT_TIMES else 20)
    assert row["status"] == "up" and row["http_status"] == 200 and row["error_type"] is None
    assert row["name"] == row["website_url"] == sited.url(f"/bytes?hex={body}")
    assert row["regex_matched"] is True
    assert row["regex_response"] == [["v=42", "42"], ["v=7", "7"]]
    assert row["body_bytes"] == 17 and row["peer"] == "127.0.0.1"
    assert row["final"] is True and row["attempt"] == 1 and 0 <= row["lag_us"] < 2_000_000
    for phase in ("connect_us", "wait_us", "response_time_us"):
        assert row[phase] > 0, phase
    phases = [row[p] or 0 for p in ("dns_us", "connect_us", "tls_us", "wait_us", "transfer_us")]
    assert abs(sum(phases) - row["response_time_us"]) < (5_000 if ASSERT_TIMES else 500_000)
    shown = pipeline.query("SELECT * FROM monitoring_data WHERE website_id = %s", row["website_id"])[0]
    assert shown["http_status"] == 200
    assert shown["entry_timestamp"] == row["checked_at"]
    assert shown["response_time"] == row["response_time_us"] / 1e6
    assert shown["regex_response"] == row["regex_response"]
    assert isinstance(shown["id"], int)
    site = pipeline.query("SELECT * FROM websites")[0]
    assert site["monitoring_interval"] == 5 and site["source"] == "event"
    pipeline.wait_for_rows(2)  # and it goes on by itself
    producer.terminate()


def test_events_in_the_topics_are_cloudevents_keyed_by_the_site(pipeline, sited):
    targets = pipeline.targets_file(f"""targets = (
        {{ name = "good"; url = "{sited.url('/ok?cloud')}"; seconds = 1; }},
        {{ name = "bad"; url = "{sited.url('/status/503?cloud')}"; seconds = 1; }});""")
    pipeline.producer("--targets-file", targets)
    for topic, name, status in ((pipeline.success, "good", "up"), (pipeline.failure, "bad", "down")):
        process.wait_for(lambda t=topic: sum(pipeline.kafka.end_offsets(t).values()) >= 2, topic)
        for message in pipeline.kafka.read(topic):
            event = json.loads(message.value())
            events.check(event)
            headers = events.headers_of(message)
            assert message.key().decode() == event["site"]["name"] == name
            assert event["status"] == status
            assert headers["ce_specversion"] == "1.0"
            assert headers["ce_type"] == "sitewatch.check.v1"
            assert headers["ce_id"] == event["id"]
            assert headers["content-type"] == "application/json"
            assert headers["ce_source"] and headers["ce_time"]


def failing_sites(sited, certs):
    """name -> (options, error types that it may have), and what is to be closed."""
    refusing = sites.RefusingPort()
    tls = {name: sites.TlsSite(certs, name)
           for name in ("good", "expired", "wrong-host", "self-signed", "untrusted")}
    ca = f'ca_file = "{certs}/ca.pem";'

    def http(path, more=""):
        return f'url = "{sited.url(path)}"; {more}'

    def https(name):
        return f'url = "{tls[name].url()}"; {ca}'

    cases = {
        "status 500": (http("/status/500"), {"status"}),
        "refused": (f'url = "{refusing.url()}";', {"connect_refused"}),
        "no such name": ('url = "http://no-such-name.invalid/";', {"dns_not_found"}),
        "pattern absent": (http("/ok?absent", 'pattern = "not there";'), {"pattern"}),
        "unwanted pattern": (http("/ok?there", 'pattern_absent = "v=42";'), {"pattern"}),
        "too slow": (http("/slow/60000", "timeout_ms = 300;"), {"timeout"}),
        "slow headers": (http("/header-slow", "timeout_ms = 300;"), {"timeout"}),
        "slow body": (http("/drip/50", "timeout_ms = 300;"), {"timeout"}),
        "wrong certificate name": (https("wrong-host"), {"tls_hostname"}),
        "certificate expired": (https("expired"), {"tls_expired"}),
        "self-signed": (https("self-signed"), {"tls_untrusted"}),
        "unknown authority": (https("untrusted"), {"tls_untrusted"}),
        "not TLS": (f'url = "https://127.0.0.1:{sited.port}/ok";', {"tls_failure"}),
        "empty reply": (http("/empty"), {"empty_reply"}),
        "reset": (http("/reset"), {"read_failure"}),
        "reset in the body": (http("/reset-midbody"), {"read_failure"}),
        "closed in the body": (http("/refuse-midbody"), {"read_failure"}),
        "not HTTP": (http("/garbage"), {"protocol"}),
        "broken chunks": (http("/badchunk"), {"protocol", "read_failure"}),
        "head too big": (http("/bighead"), {"protocol"}),
        "body without end": (http("/endless", "max_body_bytes = 65536;"), {"body_too_large"}),
        "redirects in a circle": (http("/loop"), {"redirect"}),
        "redirect to a file": (http("/redirect-to?url=file:///etc/passwd"), {"redirect"}),
        "too many redirects": (http("/redirect/6", "max_redirects = 5;"), {"redirect"}),
    }
    return cases, [refusing, *tls.values()]


def test_each_failing_site_arrives_in_the_failure_topic_with_its_own_error(pipeline, sited, certs):
    cases, to_close = failing_sites(sited, certs)
    text = "targets = (" + ",\n".join(
        f'{{ name = "{name}"; seconds = 30; {options} }}' for name, (options, _) in cases.items()) + ");"
    pipeline.consumer().wait_until_ready()
    producer = pipeline.producer("--targets-file", pipeline.targets_file(text), "--check-on-start")
    process.wait_for(lambda: pipeline.count("websites") >= len(cases), "a row of each", 40)
    producer.terminate()
    pipeline.wait_until_stored()
    seen = {}
    for message in pipeline.kafka.read(pipeline.failure):
        event = json.loads(message.value())
        events.check(event)
        assert event["status"] == "down", event
        seen.setdefault(event["site"]["name"], set()).add(event["error"]["type"])
    assert not pipeline.kafka.read(pipeline.success)
    assert {name: types <= cases[name][1] for name, types in seen.items()} == dict.fromkeys(cases, True), seen
    stored = {}
    for row in pipeline.checks():
        assert row["status"] == "down" and row["error_message"]
        stored.setdefault(row["name"], set()).add(row["error_type"])
    assert stored == seen
    for thing in to_close:
        thing.close()


def test_sites_that_behave_oddly_but_well_are_up(pipeline, sited, certs):
    tls = sites.TlsSite(certs, "good")
    soon = sites.TlsSite(certs, "soon")
    asks = sites.TlsSite(certs, "good", client_ca=certs / "ca.pem")
    ca = f'ca_file = "{certs}/ca.pem";'
    cases = {
        "a redirect": f'url = "{sited.url("/redirect/3")}"; pattern = "v=42";',
        "a redirect not followed": f'url = "{sited.url("/redirect/3")}"; follow_redirects = false;',
        "early hints": f'url = "{sited.url("/1xx")}"; pattern = "v=42";',
        "chunks": f'url = "{sited.url("/chunked")}"; pattern = "v=42";',
        "no body": f'url = "{sited.url("/status/204")}"; status = "204";',
        "a wanted 404": f'url = "{sited.url("/status/404?up")}"; status = "404";',
        "IPv6": f'url = "http://[::1]:{sited.port}/ok?six";',
        "a name": f'url = "http://localhost:{sited.port}/ok?name";',
        "TLS": f'url = "{tls.url()}"; {ca} pattern = "v=42";',
        "TLS unverified": f'url = "{tls.url("/u")}"; verify_tls = false;',
        "a client certificate": f'url = "{asks.url()}"; {ca} cert_file = "{certs}/client.pem"; '
                                f'key_file = "{certs}/client.key";',
        "NUL and broken UTF-8": f'url = "{sited.url("/bytes?hex=763d00ff763d41")}"; pattern = "v=(..?)";',
        "slow": f'url = "{sited.url("/slow/100")}"; slow_ms = 50;',
        "certificate ends": f'url = "{soon.url()}"; {ca} cert_days = 14;',
    }
    degraded = {"slow", "certificate ends"}
    text = "targets = (" + ",\n".join(
        f'{{ name = "{name}"; seconds = 30; {options} }}' for name, options in cases.items()) + ");"
    pipeline.consumer().wait_until_ready()
    producer = pipeline.producer("--targets-file", pipeline.targets_file(text), "--check-on-start")
    process.wait_for(lambda: pipeline.count("websites") >= len(cases), "a row of each", 40)
    producer.terminate()
    pipeline.wait_until_stored()
    rows = {row["name"]: row for row in pipeline.checks()}
    wrong = {name: (row["status"], row["error_type"], row["error_message"])
             for name, row in rows.items()
             if row["status"] != ("degraded" if name in degraded else "up")}
    assert set(rows) == set(cases) and not wrong, wrong
    assert pipeline.count("dead_letters") == 0
    assert rows["TLS"]["cert_not_after"] is not None and rows["TLS"]["tls_us"] > 0
    assert rows["a redirect"]["http_status"] == 200
    assert rows["a redirect not followed"]["http_status"] == 302
    assert "\ufffd" in rows["NUL and broken UTF-8"]["regex_response"][0][0]
    for site in (tls, soon, asks):
        site.close()


def test_many_sites_under_five_kills_of_the_consumer_are_each_stored_once(pipeline, sited):
    """Rows are what the server counted: none lost, none twice, with the consumer shot down."""
    run = f"/ok?run={pipeline.id}&site="
    text = "targets = (" + ",\n".join(
        f'{{ url = "{sited.url(run)}{i}"; seconds = 5; pattern = "v=(\\\\d+)"; }}'
        for i in range(LOAD_SITES)) + ");"
    # A dead member holds its partitions until its session ends; short, so that each life works.
    short = {"KAFKA_PROPERTIES": "session.timeout.ms=2000;heartbeat.interval.ms=400"}
    timer = process.start([process.stand_program("timerlag")], stdout=subprocess.PIPE, text=True)
    consumer = pipeline.consumer(**short).wait_until_ready()
    producer = pipeline.producer("--targets-file", pipeline.targets_file(text))
    started = time.monotonic()
    duplicates = 0
    for life in range(1, LOAD_KILLS + 1):
        before = pipeline.count()
        pipeline.wait_for_rows(before + LOAD_SITES // 10, seconds=60)
        process.wait_for(lambda at=life: time.monotonic() - started
                         >= LOAD_SECONDS * at / (LOAD_KILLS + 1), "the next kill", LOAD_SECONDS)
        duplicates += sitewatch.metric_sum(consumer.metrics(), "sitewatch_duplicates_total")
        consumer.kill()
        consumer = pipeline.consumer(**short)
    process.wait_for(lambda: time.monotonic() - started >= LOAD_SECONDS, "the end of the load",
                     LOAD_SECONDS)
    measured = producer.metrics()
    producer.terminate()
    timer.terminate()
    timer_lag = json.loads(timer.communicate(timeout=10)[0])
    counted = sited.counts(run)
    assert len(counted) == LOAD_SITES
    assert pipeline.published() == sum(counted.values())
    pipeline.wait_until_stored()
    duplicates += sitewatch.metric_sum(consumer.metrics(), "sitewatch_duplicates_total")
    consumer.terminate()
    stored = {row["name"]: row["n"] for row in pipeline.query(
        "SELECT w.name, count(*) AS n FROM checks JOIN websites w USING (website_id) GROUP BY 1")}
    expected = {sited.url(path): n for path, n in counted.items()}
    assert stored == expected
    assert duplicates == 0
    assert pipeline.count("dead_letters") == 0
    assert sitewatch.metric_sum(measured, "sitewatch_slots_missed_total") == 0 or not ASSERT_TIMES
    lag = pipeline.query("""SELECT count(*) AS checks, max(lag_us) AS max,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY lag_us) AS p50,
        percentile_disc(0.99) WITHIN GROUP (ORDER BY lag_us) AS p99,
        percentile_disc(0.999) WITHIN GROUP (ORDER BY lag_us) AS p999
        FROM checks WHERE status = 'up'""")[0]
    assert lag["checks"] == sum(counted.values()), "each site answered 200"
    print(f"\nlag in us of {lag['checks']} checks: p50 {lag['p50']} p99 {lag['p99']} "
          f"p99.9 {lag['p999']} max {lag['max']}; of a bare timer thread: p50 {timer_lag['p50']} "
          f"p99 {timer_lag['p99']} p99.9 {timer_lag['p999']} max {timer_lag['max']}")
    if ASSERT_TIMES:
        assert lag["p999"] < LAG_P999_US_MAX
