"""Checks over HTTP/2, with a server that knows as much of it (RFC 9113) as these need."""

import json
import socket
import ssl
import threading

import pytest

from stand import events, sites, sitewatch
from stand.sites import target, targets

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
ACK = END_STREAM = 1
END_HEADERS = 4
INTERNAL_ERROR = (2).to_bytes(4, "big")


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def field(name, value):
    """A header as RFC 7541, 6.2.2 has it: in full, and not for the table."""
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


OK = b"\x88" + field(b"x-ver", b"12")  # :status 200 is in the static table
BODY = b"v=42 over frames"
ANSWERS = {
    "well": frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, END_STREAM, 1, BODY),
    "early": frame(HEADERS, END_HEADERS, 1, b"\x08\x03103" + field(b"link", b"</a>"))
             + frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, END_STREAM, 1, BODY),
    "reset": frame(RST_STREAM, 0, 1, INTERNAL_ERROR),
    "reset in the body": frame(HEADERS, END_HEADERS, 1, OK) + frame(DATA, 0, 1, b"v=")
                         + frame(RST_STREAM, 0, 1, INTERNAL_ERROR),
    "going away": frame(GOAWAY, 0, 0, bytes(4) + INTERNAL_ERROR),
    "no frames": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}


class Http2Site:
    """An https site that speaks HTTP/2 with who offers it, and answers each connection's first request."""

    def __init__(self, certs, answer):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certs / "good.pem", certs / "good.key")
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()

    def url(self):
        return f"https://127.0.0.1:{self.listener.getsockname()[1]}/"

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # closed
            with connection, self.context.wrap_socket(connection, server_side=True) as tls:
                if tls.selected_alpn_protocol() == "h2":
                    self.speak(tls)
                else:
                    tls.recv(4096)
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nv=")
                    tls.recv(4096)

    def speak(self, tls):
        with tls.makefile("rb") as reader:
            assert reader.read(len(PREFACE)) == PREFACE
            tls.sendall(frame(SETTINGS, 0, 0))
            while True:
                head = reader.read(9)
                if len(head) < 9:
                    return  # the client has what it wanted
                reader.read(int.from_bytes(head[:3], "big"))
                if head[3] == SETTINGS and not head[4] & ACK:
                    tls.sendall(frame(SETTINGS, ACK, 0))
                if head[3] == HEADERS:
                    tls.sendall(self.answer)
                    if self.answer is ANSWERS["going away"]:
                        return

    def close(self):
        self.listener.close()


@pytest.fixture
def check(certs, tmp_path):
    """check(answer, options): the event of a site that answers so."""
    opened = []

    def make(answer, options):
        opened.append(Http2Site(certs, ANSWERS[answer]))
        path = tmp_path / "sites.conf"
        path.write_text(targets(target("s", opened[-1].url(), f'ca_file = "{certs}/ca.pem"; {options}')))
        done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", path)
        event = json.loads(done.stdout)
        events.check(event)
        return event

    yield make
    for site in opened:
        site.close()


@pytest.mark.parametrize("answer", ["well", "early"])
def test_a_site_that_speaks_http_2_is_up(check, answer):
    event = check(answer, 'pattern = "v=(\\\\d+)"; header_pattern = "(?m)^x-ver: 12$";')
    assert event["status"] == "up" and event["pattern"]["answers"] == [["v=42", "42"]], event
    assert event["http"] == {"status_code": 200, "version": "2", "redirects": 0, "body_bytes": len(BODY)}
    assert all(event["timing_us"][phase] > 0 for phase in ("connect", "tls", "wait")), event


@pytest.mark.parametrize(("version", "seen"), [("any", "2"), ("2", "2"), ("1.1", "1.1")])
def test_which_version_is_spoken_is_the_sites_option(check, version, seen):
    event = check("well", f'http_version = "{version}";')
    assert event["status"] == "up" and event["http"]["version"] == seen, event


def test_a_site_without_http_2_is_down_where_it_is_wanted(certs, tmp_path):
    site = sites.TlsSite(certs, "good")
    path = tmp_path / "sites.conf"
    path.write_text(targets(target("s", site.url(), f'ca_file = "{certs}/ca.pem"; http_version = "2";')))
    done = sitewatch.run("producer", "--once", "--output", "json", "--targets-file", path)
    site.close()
    assert json.loads(done.stdout)["error"] == {"type": "protocol", "phase": "check",
                                                "message": "wanted HTTP/2, got 1.1"}


@pytest.mark.parametrize(("answer", "errors"), [
    ("reset", {"read_failure"}), ("reset in the body", {"read_failure"}),
    ("going away", {"protocol", "read_failure"}),  # versions of libcurl differ over these
    ("no frames", {"protocol", "empty_reply"}),
])
def test_a_stream_that_breaks_is_down(check, answer, errors):
    event = check(answer, "")
    assert event["status"] == "down" and event["error"]["type"] in errors, event
