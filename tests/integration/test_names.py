"""Names of sites, with a name server of the test's own."""

import json

from stand import events, process, sitewatch

ZONE = """
well.test A 127.0.0.1
alias.test CNAME well.test
six.test AAAA ::1
nowhere.test NXDOMAIN
empty.test NODATA
broken.test SERVFAIL
refusing.test REFUSED
silent.test SILENT
"""


def test_each_answer_of_a_name_server_has_its_own_error(sited, dnsd, tmp_path):
    wanted = {"well": None, "alias": None, "six": None, "nowhere": "dns_not_found",
              "empty": "dns_not_found", "broken": "dns_failure", "refusing": "dns_failure",
              "silent": "dns_timeout"}
    path = tmp_path / "sites.conf"
    path.write_text("targets = (" + ",".join(
        f'{{ name = "{n}"; url = "http://{n}.test:{sited.port}/ok?name={n}"; }}' for n in wanted) + ");")
    done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", path,
                         "--dns-servers", dnsd(ZONE), "--dns-timeout-ms", 200, "--dns-tries", 2)
    assert done.returncode == 1, done.stderr
    found = {}
    for event in map(json.loads, done.stdout.splitlines()):
        events.check(event)
        found[event["site"]["name"]] = event.get("error", {}).get("type")
        if "error" in event:
            assert event["error"]["phase"] == "dns", event
        else:
            assert event["timing_us"]["dns"] > 0, event
    assert found == wanted


def test_a_name_server_that_cannot_be_asked_is_the_checkers_own_fault(sited, tmp_path):
    """unknown, not down: nothing is known of the site. (The kernel refuses to send to a broadcast
    address, as it would without a network.)"""
    path = tmp_path / "sites.conf"
    path.write_text(f'targets = ({{ url = "http://well.test:{sited.port}/ok"; }});')
    done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", path,
                         "--dns-servers", "255.255.255.255:53", "--dns-timeout-ms", 200, "--dns-tries", 1)
    event = json.loads(done.stdout)
    assert done.returncode == 1 and event["status"] == "unknown"
    assert event["error"]["type"] == "local_network"


def test_how_long_it_is_kept_that_a_name_does_not_exist_is_set(programs, dnsd):
    server = dnsd(ZONE)
    for seconds, kept in ((0, False), (60, True)):
        producer = programs("producer", "--url", "http://nowhere.test/", "--seconds", 1, "--output", "json",
                            "--dns-servers", server, "--dns-negative-ttl-s", seconds, env={"LISTEN": "127.0.0.1:0"})
        process.wait_for(lambda producer=producer: len(producer.events()) >= 3, "three checks")
        samples = producer.metrics()
        cached = sitewatch.metric_sum(samples, "sitewatch_dns_lookups_total", result="cached")
        asked = sitewatch.metric_sum(samples, "sitewatch_dns_lookups_total", result="not_found")
        assert (asked == 1 and cached >= 2) if kept else (asked >= 3 and cached == 0), (seconds, asked, cached)
        producer.terminate()
