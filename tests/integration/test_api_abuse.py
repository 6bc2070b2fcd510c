"""Clients that mean ill do not keep the others from being served."""

import http.client
import socket
import threading
import time

import pytest

from stand import process

SECONDS = 5
MANY = 200  # connections of one address, below what is allowed to one
SLOW_HEADERS, SILENT, SLOW_BODY, OVERSIZED, BAD_TOKENS = (f"127.0.0.{n}" for n in range(2, 7))
ANSWER_SECONDS_MAX = 5  # of one that means well; without sanitizers it is some milliseconds


def connect(source, port):
    return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))


def drip(connections, until):
    """A byte now and then on each, so that none is idle for long."""
    while time.monotonic() < until:
        for connection in connections:
            try:
                connection.send(b"x")
            except OSError:
                pass
        time.sleep(0.5)


def flood(source, port, until, request, counted):
    while time.monotonic() < until:
        try:
            with connect(source, port) as connection:
                connection.sendall(request)
                counted.append(connection.recv(20)[9:12])
        except OSError:
            counted.append(b"")


def test_ill_will_of_every_kind_at_once_stops_nobody(api):
    for i in range(20):
        api.post(url=f"https://{i}.example/")
    until = time.monotonic() + SECONDS
    head = b"POST /websites HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    slow = [connect(SLOW_HEADERS, api.port) for _ in range(MANY)]
    bodies = [connect(SLOW_BODY, api.port) for _ in range(MANY)]
    silent = [connect(SILENT, api.port) for _ in range(MANY)]
    for connection in slow:
        connection.sendall(b"GET /websites HTTP/1.1\r\nHost: a\r\nX-Slow: ")
    for connection in bodies:
        connection.sendall(head + b"Content-Length: 1000\r\n\r\n{")
    oversized, refused = [], []
    huge = head + b"Content-Length: 1000000000000\r\n\r\n" + b"x" * 65536
    bad = b"GET /websites HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sw_1_" + b"A" * 43 + b"\r\n\r\n"
    threads = [threading.Thread(target=drip, args=(slow + bodies, until))]
    threads += [threading.Thread(target=flood, args=(OVERSIZED, api.port, until, huge, oversized)) for _ in range(4)]
    threads += [threading.Thread(target=flood, args=(BAD_TOKENS, api.port, until, bad, refused)) for _ in range(4)]
    for thread in threads:
        thread.start()

    took = []
    while time.monotonic() < until:
        began = time.monotonic()
        answer = api.ask("GET", "/websites")
        took.append(time.monotonic() - began)
        assert answer.status == 200 and answer.json()["total"] == 20
    for thread in threads:
        thread.join()
    assert len(took) > 10 and max(took) < ANSWER_SECONDS_MAX, (len(took), sorted(took)[-5:])
    assert len(oversized) > 10 and set(oversized) <= {b"413", b"429", b""}, set(oversized)
    assert len(refused) > 10 and set(refused) <= {b"401", b"429", b""} and b"401" in refused, set(refused)
    assert api.program.process.poll() is None
    for connection in slow + bodies + silent:
        connection.close()
    assert api.post(url="https://after.example/")["id"] > 20


def test_who_says_nothing_is_closed_and_who_is_too_many_waits_for_nobody(api_database):
    api = api_database.start("--api-timeout-seconds", "1", "--api-connections-per-address", "20")
    silent = [connect(SILENT, api.port) for _ in range(60)]
    assert api.ask("GET", "/websites").status == 200

    def all_closed():
        for connection in silent:
            connection.settimeout(0.01)
            try:
                if connection.recv(100):
                    return False
            except TimeoutError:
                return False
            except OSError:
                pass
        return True

    process.wait_for(all_closed, "the silent ones to be closed", 30)
    for connection in silent:
        connection.close()
    later = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30, source_address=(SILENT, 0))
    later.request("GET", "/healthz")
    assert later.getresponse().status == 200
    later.close()


def test_over_all_connections_others_wait_until_one_is_closed(api_database):
    api = api_database.start("--api-connections", "10")
    held = [connect(SILENT, api.port) for _ in range(10)]
    for connection in held:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    with connect(BAD_TOKENS, api.port) as other:
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        other.settimeout(0.5)
        with pytest.raises(TimeoutError):
            other.recv(12)
        held.pop().close()
        other.settimeout(30)
        assert other.recv(12) == b"HTTP/1.1 200"
    for connection in held:
        connection.close()
