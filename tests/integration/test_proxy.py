"""Sites that are fetched through a proxy, and proxies that fail."""

import json
import socket

import pytest

from stand import events, process, proxies, sites, sitewatch

KINDS = ("http", "https", "socks5", "socks5h")
SECRET = "pr%40ss-w0rd"


@pytest.fixture
def proxy(certs):
    """proxy(kind, ...) starts one; all of them end with the test."""
    started = []

    def start(kind, **options):
        certificate = options.pop("certificate", "good")
        started.append(proxies.Proxy(
            socks=kind.startswith("socks"),
            certificate=certs / certificate if kind == "https" else None, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def secure(certs):
    site = sites.TlsSite(certs, "good")
    yield site
    site.close()


def check(tmp_path, certs, url, through, more="", env=None):
    """The one event of a check, and all that the producer wrote."""
    path = tmp_path / "sites.conf"
    path.write_text(f'targets = ({{ name = "s"; url = "{url}"; proxy = "{through}"; '
                    f'ca_file = "{certs}/ca.pem"; {more} }});')
    done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", path,
                         env={"LISTEN": "127.0.0.1:0", **(env or {})})
    event, = map(json.loads, done.stdout.splitlines())
    events.check(event)
    return event, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_site_is_fetched_through_its_proxy(kind, proxy, sited, secure, certs, tmp_path):
    one = proxy(kind, credentials="me:pr@ss-w0rd")
    through = f"{kind}://me:{SECRET}@127.0.0.1:{one.port}"
    # The environment of a shell behind another proxy changes nothing.
    env = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1",
           "ALL_PROXY": "http://127.0.0.1:1", "no_proxy": "*", "NO_PROXY": "*"}
    plain, wrote = check(tmp_path, certs, sited.url(f"/ok?{kind}"), through, env=env)
    assert plain["status"] == "up" and plain["peer"] == "127.0.0.1", plain
    assert sited.counts(f"/ok?{kind}") == {f"/ok?{kind}": 1}
    assert len(one.asked) == 1
    tls, wrote_too = check(tmp_path, certs, secure.url(), through, env=env)
    assert tls["status"] == "up" and tls["tls"]["version"] == "TLSv1.3", tls
    assert one.asked[1] == f"127.0.0.1:{secure.port}"
    for agents in one.agents:
        assert len(agents) == 1 and agents[0].startswith("sitewatch/"), one.agents
    assert len(one.agents) == (0 if kind.startswith("socks") else 2)
    for text in (wrote, wrote_too):
        assert SECRET not in text and "pr@ss-w0rd" not in text and "me:" not in text
    for event in (plain, tls):
        timing = event["timing_us"]
        assert timing["total"] >= sum(v for k, v in timing.items() if k != "total")
        assert timing["connect"] > 0
    # An https proxy has a handshake of its own.
    assert ("tls" in plain["timing_us"]) == (kind == "https")


@pytest.mark.parametrize("kind", KINDS)
def test_who_resolves_the_name_of_the_site(kind, proxy, secure, certs, tmp_path, dnsd):
    server = dnsd("site.test A 127.0.0.1\nproxy.test A 127.0.0.1\n")
    one = proxy(kind)
    more = "verify_tls = false;"  # the certificates are for localhost
    event, _ = check(tmp_path, certs, f"https://site.test:{secure.port}/", f"{kind}://proxy.test:{one.port}",
                     more, env={"DNS_SERVERS": server})
    assert event["status"] == "up", event
    assert one.asked == [("127.0.0.1" if kind == "socks5" else "site.test") + f":{secure.port}"]
    if kind == "https":
        assert one.names == ["proxy.test"]


def test_redirects_go_through_the_proxy(proxy, sited, certs, tmp_path):
    one = proxy("http")
    event, _ = check(tmp_path, certs, sited.url("/redirect/2"), f"http://127.0.0.1:{one.port}")
    assert event["status"] == "up" and event["http"]["redirects"] == 2
    assert [url.rsplit("/", 1)[1] for url in one.asked] == ["2", "1", "ok"]


@pytest.mark.parametrize("kind, answer, words", [
    ("http", "407", "407"), ("http", "502", "502"), ("http", "close", ""), ("http", "garbage", ""),
    ("http", "silence", "ms are over"),
    ("https", "407", "407"), ("https", "502", "502"), ("https", "silence", "ms are over"),
    ("socks5", "407", ""), ("socks5", "502", ""), ("socks5", "close", ""), ("socks5", "garbage", ""),
    ("socks5h", "silence", "ms are over"), ("socks5h", "502", ""),
])
def test_a_proxy_that_fails_is_told(kind, answer, words, proxy, secure, certs, tmp_path):
    one = proxy(kind, answer=answer)
    event, _ = check(tmp_path, certs, secure.url(), f"{kind}://127.0.0.1:{one.port}", "timeout_ms = 2000;")
    assert event["status"] == "down"
    assert event["error"]["type"] == "proxy", event["error"]
    assert event["error"]["message"].startswith(f"{kind} proxy 127.0.0.1 port {one.port}: ")
    assert words in event["error"]["message"], event["error"]
    assert "http" not in event


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_credentials_are_told_and_not_shown(kind, proxy, secure, certs, tmp_path):
    one = proxy(kind, credentials="me:other")
    event, wrote = check(tmp_path, certs, secure.url(), f"{kind}://me:{SECRET}@127.0.0.1:{one.port}")
    assert event["error"]["type"] == "proxy", event["error"]
    assert SECRET not in wrote and "pr@ss-w0rd" not in wrote


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_that_refuses_connections(kind, secure, certs, tmp_path):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    event, _ = check(tmp_path, certs, secure.url(), f"{kind}://127.0.0.1:{port}")
    taken.close()
    assert event["error"]["type"] == "proxy"
    assert event["error"]["message"] == f"{kind} proxy 127.0.0.1 port {port}: Connection refused"
    assert "peer" not in event


@pytest.mark.parametrize("certificate, words", [
    ("expired", "expired"), ("wrong-host", "is for other.example"), ("untrusted", "issued by")])
def test_the_certificate_of_a_proxy_is_verified(certificate, words, proxy, secure, certs, tmp_path):
    one = proxy("https", certificate=certificate)
    event, _ = check(tmp_path, certs, secure.url(), f"https://127.0.0.1:{one.port}")
    assert event["error"]["type"] == "proxy"
    assert words in event["error"]["message"], event["error"]
    assert one.asked == []


def test_the_site_behind_a_proxy_is_judged_as_ever(proxy, sited, certs, tmp_path):
    one = proxy("http")
    through = f"http://127.0.0.1:{one.port}"
    event, _ = check(tmp_path, certs, sited.url("/status/503"), through)
    assert event["error"]["type"] == "status" and event["http"]["status_code"] == 503
    wrong = sites.TlsSite(certs, "expired")
    event, _ = check(tmp_path, certs, wrong.url(), through)
    wrong.close()
    assert event["error"]["type"] == "tls_expired" and event["error"]["phase"] == "tls"


def test_a_proxy_without_a_name_is_told(certs, tmp_path, secure, dnsd):
    server = dnsd("other.test A 127.0.0.1\n")
    event, _ = check(tmp_path, certs, secure.url(), "http://proxy.test:3128", env={"DNS_SERVERS": server})
    assert event["error"]["type"] == "proxy" and event["error"]["phase"] == "dns"
    assert event["error"]["message"].startswith("http proxy proxy.test port 3128: ")


def test_metrics_of_tls_know_both_handshakes(proxy, secure, certs, tmp_path, programs):
    one = proxy("https")
    path = tmp_path / "sites.conf"
    path.write_text(f'targets = ({{ name = "s"; url = "{secure.url()}"; seconds = 1; '
                    f'proxy = "https://127.0.0.1:{one.port}"; ca_file = "{certs}/ca.pem"; }});')
    producer = programs("producer", "--targets-file", path, "--output", "json")
    process.wait_for(lambda: len(producer.events()) >= 2, "two events", 60)
    metrics = producer.metrics()
    assert sitewatch.metric_sum(metrics, "sitewatch_tls_handshakes_total", resumed="no") >= 4
    assert metrics["sitewatch_tls_sessions"] == 0, "nobody asked for tls_resume"
    producer.terminate()
