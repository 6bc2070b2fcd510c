"""Checks that the producer itself could not make: unknown, never down, each with its own reason."""

import json
import resource
import socket
import subprocess
import sys

import pytest

from stand import events, netspace, process, sitewatch

ZONE = "well.test A 127.0.0.1\n"


def sites_file(tmp_path, *groups):
    path = tmp_path / "sites.conf"
    path.write_text("targets = (" + ",".join(f"{{ {group} }}" for group in groups) + ");")
    return path


@pytest.fixture
def checking(programs, tmp_path):
    """A producer of these sites that prints its events."""
    def start(groups, *args):
        return programs("producer", "--targets-file", sites_file(tmp_path, *groups), "--output", "json",
                        "--check-on-start", *args, env={"LISTEN": "127.0.0.1:0"})
    return start


def found(producer, name, kind):
    """Whether an event of the site has this error type; None: is up."""
    def seen():
        for event in producer.events():
            if event["site"]["name"] == name and event.get("error", {}).get("type") == kind:
                events.check(event)
                assert event["status"] == ("up" if kind is None else "unknown")
                return event
        return None
    return process.wait_for(seen, f"{kind or 'up'} of {name}")


def after(producer):
    """Forget the events so far."""
    class Since:
        begin = len(producer.events())

        def events(self):
            return producer.events()[self.begin:]
    return Since()


def test_without_a_network(sited, tmp_path):
    """(The kernel refuses to connect to a broadcast address, as it would without a route.)"""
    path = sites_file(tmp_path, f'url = "http://away.test:{sited.port}/ok"; resolve_to = "255.255.255.255";')
    done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", path)
    event = json.loads(done.stdout)
    assert done.returncode == 1
    assert (event["status"], event["error"]["type"], event["error"]["phase"]) == (
        "unknown", "local_network", "connect")


def test_a_link_local_address_is_one_of_the_interface_that_its_zone_names(programs, tmp_path):
    space = netspace.Netspace("192.0.2.1")
    try:
        subprocess.run([*space.inside, "ip", "-6", "address", "add", "fe80::77/64", "dev", "lo", "nodad"], check=True)
        port = process.free_port()
        server = process.start([*space.inside, sys.executable, "-m", "http.server", "--bind", "fe80::77%lo",
                                "--directory", tmp_path, str(port)], stderr=subprocess.DEVNULL)
        path = sites_file(tmp_path, f'name = "here"; url = "http://[fe80::77%25lo]:{port}/"; seconds = 1;',
                          f'name = "gone"; url = "http://[fe80::77%25gone0]:{port}/"; seconds = 1;')
        producer = programs("producer", "--targets-file", path, "--output", "json", env={"LISTEN": "off"},
                            inside=space.inside)
        found(producer, "here", None)
        found(producer, "gone", "local_network")
        producer.terminate()
        process.stop(server)
    finally:
        space.close()


@pytest.mark.parametrize("server", ["nobody listens", "unreachable"])
def test_without_a_name_server(sited, tmp_path, server):
    path = sites_file(tmp_path, *(f'url = "http://n{n}.test:{sited.port}/ok";' for n in range(300)))
    address = f"127.0.0.1:{process.free_port()}" if server == "nobody listens" else "255.255.255.255:53"
    done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", path, "--dns-servers", address,
                         "--dns-timeout-ms", 200, "--dns-tries", 2)
    assert done.returncode == 1
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == 300
    assert {(e["status"], e["error"]["type"], e["error"]["phase"]) for e in said} == {
        ("unknown", "local_network", "dns")}


def test_without_descriptors(sited, dnsd, checking):
    producer = checking([f'name = "address"; url = "http://127.0.0.1:{sited.port}/ok?fd=a"; seconds = 1;',
                         f'name = "name"; url = "http://well.test:{sited.port}/ok?fd=n"; seconds = 1;'],
                        "--dns-servers", dnsd(ZONE), "--dns-ttl-min-s", 0, "--dns-ttl-max-s", 0)
    for name in ("address", "name"):
        found(producer, name, None)
    limit = resource.prlimit(producer.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(producer.pid, resource.RLIMIT_NOFILE, (0, limit[1]))
    try:
        assert found(producer, "address", "local_resources")["error"]["phase"] == "connect"
        assert found(producer, "name", "local_resources")["error"]["phase"] in ("dns", "connect")
    finally:
        resource.prlimit(producer.pid, resource.RLIMIT_NOFILE, limit)
    later = after(producer)
    for name in ("address", "name"):
        found(later, name, None)
    producer.terminate()


def test_without_time(sited, checking):
    """One check at a time, and one that takes longer than the other site's interval."""
    producer = checking([f'name = "slow"; url = "{sited.url("/slow/4000?unknown")}"; seconds = 10;',
                         f'name = "often"; url = "{sited.url("/ok?unknown")}"; seconds = 1;'],
                        "--in-flight-max", 1)
    event = found(producer, "often", "slot_missed")
    assert "http" not in event and " passed before a check could start" in event["error"]["message"]
    producer.terminate()


def closed_sites(count, options=""):
    """Sites that refuse connections, on ports that nobody listens on, and what keeps these from others."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    return sockets, [f'name = "closed{n}"; url = "http://127.0.0.1:{each.getsockname()[1]}/"; seconds = 2; {options}'
                     for n, each in enumerate(sockets)]


def statuses(producer, name):
    return [e["status"] for e in producer.events() if e["site"]["name"] == name]


def test_while_our_own_network_is_down(checking):
    """Everything refuses, and so does the address of probe-self: until somebody listens there."""
    kept, groups = closed_sites(3, "retries = 1; timeout_ms = 200;")
    own = socket.socket()
    own.bind(("127.0.0.1", 0))
    producer = checking(groups, "--probe-self", f"127.0.0.1:{own.getsockname()[1]}")
    for n in range(3):
        event = found(producer, f"closed{n}", "local_network")
        assert event["final"] and event["attempt"] == 1  # asked again it would be the same
        assert event["error"]["message"].startswith("our own network is down; 127.0.0.1 port ")
    producer.wait_for_line('level=warning msg="our own network is down')
    assert producer.metrics()["sitewatch_local_network_down"] == 1
    assert "down" not in [e["status"] for e in producer.events()]
    own.listen()
    producer.wait_for_line('msg="our own network is up again"')
    later = after(producer)
    for n in range(3):
        process.wait_for(lambda n=n: "down" in statuses(later, f"closed{n}"), f"closed{n} to be down")
    assert producer.metrics()["sitewatch_local_network_down"] == 0
    producer.terminate()
    for each in [own, *kept]:
        each.close()


def test_sites_are_down_while_our_own_network_is_up(sited, checking):
    kept, groups = closed_sites(3)
    producer = checking(groups, "--probe-self", f"127.0.0.1:{sited.port}")
    for n in range(3):
        process.wait_for(lambda n=n: statuses(producer, f"closed{n}"), f"closed{n} to be checked")
    assert {e["status"] for e in producer.events()} == {"down"}
    assert not producer.has_line("our own network")
    producer.terminate()
    for each in kept:
        each.close()


def test_one_site_is_down_while_others_are_up(sited, checking):
    """Whatever probe-self says: others are reached, so that it is not the network."""
    kept, groups = closed_sites(2)
    up = [f'name = "up{n}"; url = "{sited.url(f"/ok?beside={n}")}"; seconds = 1;' for n in range(100)]
    own = groups.pop().split("//")[1].split("/")[0]
    producer = checking([*up, *groups], "--probe-self", own)
    process.wait_for(lambda: "down" in statuses(producer, "closed0"), "the closed one to be down")
    producer.terminate()
    for each in kept:
        each.close()


def test_a_single_run_asks_for_our_own_network_too(tmp_path):
    kept, groups = closed_sites(2)
    own = groups.pop().split("//")[1].split("/")[0]
    done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", sites_file(tmp_path, *groups),
                         "--probe-self", own)
    assert json.loads(done.stdout)["error"]["type"] == "local_network"
    for each in kept:
        each.close()


def test_addresses_of_our_own_network_are_checked_first(sited, tmp_path):
    path = sites_file(tmp_path, f'url = "{sited.url("/ok")}";')
    done = sitewatch.run("producer", "--targets-file", path, "--probe-self", "example.com", "--check-config")
    assert done.returncode == 2
    assert 'probe-self: "example.com": there is no ":port"' in done.stderr
