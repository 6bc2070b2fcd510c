"""GET /events: what changes is told as it happens, to each client once and in order."""

import http.client
import json
import re
import socket
import ssl
import statistics
import threading
import time

import psycopg2
import pytest

from stand import process, sitewatch
from stand.api import store_checks


class Stream:
    """A client of /events. A thread reads; events are (name, data, id) in `events`."""

    def __init__(self, api, last_id=None, token=None, context=None):
        self.api = api
        self.connection = (http.client.HTTPConnection("127.0.0.1", api.port, timeout=60) if context is None
                           else http.client.HTTPSConnection("localhost", api.port, timeout=60, context=context))
        headers = {"Authorization": f"Bearer {token or api.read}"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        self.connection.request("GET", "/events", headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.events = []
        self.times = []
        self.comments = 0
        self.marks = set()  # ids of events that a test made up, below 1
        self.id = None
        self.ended = None  # how it ended
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        block = []
        try:
            for raw in self.response:
                line = raw.decode("utf-8").rstrip("\n")
                if line:
                    block.append(line)
                else:
                    self._take(block)
                    block = []
            ended = "whole"
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:  # cut off
            ended = type(error).__name__
        with self._changed:
            self.ended = ended
            self._changed.notify_all()

    def _take(self, lines):
        fields = {}
        for line in lines:
            name, _, value = line.partition(": ")
            fields[name] = fields[name] + "\n" + value if name == "data" and name in fields else value
        with self._changed:
            self.comments += ":" in fields
            self.id = fields.get("id", self.id)
            if "data" in fields:
                data = json.loads(fields["data"])
                if data.get("id", 1) < 1:
                    self.marks.add(data["id"])
                else:
                    self.events.append((fields["event"], data, self.id))
                    self.times.append(time.time())
            self._changed.notify_all()

    def wait(self, condition, what, seconds=30):
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), seconds):
                raise process.Timeout(f"{what}: not within {seconds} s; {self.events} {self.ended}")
        return self

    def begin(self):
        """What was committed before is told before this returns, and forgotten."""
        tell(self.api, -id(self))
        self.wait(lambda s: -id(self) in s.marks, "the stream to begin")
        with self._changed:
            self.events.clear()
            self.times.clear()
        return self

    def wait_for_events(self, count):
        self.wait(lambda s: len(s.events) >= count, f"{count} events")
        return self.events

    def names(self):
        return [(name, data.get("id"), data.get("state") or data.get("change")) for name, data, _ in self.events]

    def close(self):
        self.ended = self.ended or "closed"
        try:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass
        self.connection.close()


@pytest.fixture
def streams(api):
    """streams(...) opens one; all are closed with the test."""
    opened = []

    def start(**options):
        opened.append(Stream(api, **options))
        return opened[-1]

    start.begin = lambda **options: start(**options).begin()
    yield start
    for stream in opened:
        stream.close()


def turn(api, website_id, status, location="here"):
    """The state of a site at a location, as a batch would write it."""
    api.query("UPDATE site_state SET status = %s, since = now(), last_slot = now() FROM locations l"
              " WHERE l.location_id = site_state.location_id AND website_id = %s AND l.name = %s RETURNING 1",
              status, website_id, location)


def tell(api, website_id):
    """An event of a site that nothing has happened to."""
    api.query("INSERT INTO site_changes (website_id, change) VALUES (%s, 'changed') RETURNING 1", website_id)


def wait_until_left(api, left=0):
    """That a client is gone shows when something is sent to it."""
    def gone():
        tell(api, 0)
        return metrics(api)["sitewatch_api_event_clients"] <= left
    process.wait_for(gone, "the clients to be gone", 60, 0.2)


def metrics(api):
    return sitewatch.parse_metrics(api.ask("GET", "/metrics").body.decode())


def test_changes_are_told_in_their_order(api, streams):
    stream = streams.begin()
    site = api.post(url="https://example.com/", name="shop", seconds=60)
    process.wait_for(lambda: len(stream.events) == 1, "the site to be told of")
    store_checks(api, site["id"], ["up"])
    stream.wait_for_events(2)
    api.query("INSERT INTO site_overall (website_id, incident_slot, quorum)"
              " VALUES (%s, '2026-11-21 08:00:00+00', 1) RETURNING 1", site["id"])
    turn(api, site["id"], "down")
    stream.wait_for_events(3)
    turn(api, site["id"], "down")  # the same again is no change
    api.ask("PATCH", f"/websites/{site['id']}", {"seconds": 30})
    stream.wait_for_events(4)
    api.ask("PATCH", f"/websites/{site['id']}", {"seconds": 30})
    api.ask("DELETE", f"/websites/{site['id']}")
    stream.wait_for_events(5)
    api.post(url="https://example.com/", name="shop")
    stream.wait_for_events(6)
    assert stream.names() == [
        ("site", site["id"], "added"), ("state", site["id"], "up"), ("state", site["id"], "down"),
        ("site", site["id"], "changed"), ("site", site["id"], "deleted"), ("site", site["id"], "added")]
    down = stream.events[2][1]
    assert set(down) == {"id", "name", "state", "since", "last_slot", "locations"}
    assert down["name"] == "shop" and down["locations"] == [{"location": "here", "status": "down"}]
    assert down["since"] == "2026-11-21T08:00:00+00:00"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", down["last_slot"])
    assert stream.events[1][1]["since"] == stream.events[1][1]["last_slot"]
    assert stream.response.headers["Content-Type"] == "text/event-stream"
    assert stream.response.headers["Cache-Control"] == "no-store"
    assert "Content-Encoding" not in stream.response.headers
    assert metrics(api)['sitewatch_api_events_total{event="state"}'] == 2


def test_a_change_is_seen_within_two_seconds_of_its_commit(api, streams, postgres):
    site = api.post(url="https://example.com/")
    store_checks(api, site["id"], ["up"])
    stream = streams.begin()
    # A transaction that is older than the change and does not end delays nothing.
    with psycopg2.connect(postgres.dsn(api.database)) as older, older.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")
        took = []
        for i in range(6):
            turn(api, site["id"], "up" if i % 2 else "down")
            committed = time.time()
            stream.wait_for_events(i + 1)
            took.append(stream.times[-1] - committed)
        assert statistics.median(took) < 2, took  # a pause of the machine is granted
    assert [data["state"] for _, data, _ in stream.events] == ["down", "up"] * 3


def test_what_commits_late_is_not_missed(api, streams, postgres):
    """Ids are given in the order of writing; these transactions commit the other way round."""
    stream = streams.begin()
    sites = [api.post(url=f"https://{i}.example/")["id"] for i in range(6)]
    stream.wait_for_events(6)
    writers = []
    for site in sites:
        connection = psycopg2.connect(postgres.dsn(api.database))
        with connection.cursor() as cursor:
            cursor.execute("UPDATE websites SET version = version + 1 WHERE website_id = %s", (site,))
        writers.append(connection)
    for count, connection in enumerate(reversed(writers), 7):
        connection.commit()
        connection.close()
        stream.wait_for_events(count)
    assert [data["id"] for _, data, _ in stream.events[6:]] == sites[::-1]


def test_who_comes_back_misses_nothing_and_gets_nothing_twice(api, streams):
    site = api.post(url="https://example.com/")
    store_checks(api, site["id"], ["up"])
    first = streams.begin()
    idle = streams.begin()
    turn(api, site["id"], "down")
    first.wait_for_events(1)
    seen = first.id
    first.close()
    idle.wait_for_events(1)
    turn(api, site["id"], "up")
    idle.wait_for_events(2)
    back = streams(last_id=seen)
    assert [data["state"] for _, data, _ in back.wait_for_events(1)] == ["up"]
    turn(api, site["id"], "degraded")
    assert [data["state"] for _, data, _ in back.wait_for_events(2)] == ["up", "degraded"]
    assert back.events[0] == idle.events[1]


def test_an_id_that_is_too_old_is_answered_with_reset(api_database):
    api = api_database.start()
    stream = Stream(api).begin()
    old = stream.id
    stream.close()
    api.program.terminate()
    api.start()
    for last_id in (old, "nonsense", "0-0"):
        late = Stream(api, last_id=last_id)
        assert late.wait_for_events(1)[0][0] == "reset"
        assert late.id not in (None, last_id)
        site = api.post(url=f"https://{last_id}.example/")
        assert late.wait_for_events(2)[1][1] == {"id": site["id"], "change": "added"}
        late.close()


def test_many_changes_at_once_are_a_reset(api, streams):
    stream = streams.begin()
    api.query("INSERT INTO websites (name, website_url, monitoring_interval, source)"
              " SELECT 'n' || i, 'https://n/', 60, 'api' FROM generate_series(1, 1001) i RETURNING 1")
    assert stream.wait_for_events(1)[0][0] == "reset"
    assert api.query("SELECT change FROM site_changes WHERE website_id IS NULL") == [{"change": "many"}]
    assert api.query("SELECT 1 FROM site_changes WHERE website_id > 0") == []
    api.query("INSERT INTO locations (name) VALUES ('here') RETURNING 1")
    api.query("INSERT INTO site_state (website_id, location_id, status, last_slot)"
              " SELECT website_id, 1, 'up', now() FROM websites RETURNING 1")
    assert stream.wait_for_events(2)[1][0] == "reset"


def test_silence_is_told_of_idle_streams_get_a_comment_and_all_end_with_the_program(api, streams):
    site = api.post(url="https://example.com/", seconds=60)
    api.post(url="https://never.example/")
    store_checks(api, site["id"], ["up"])
    stream = streams.begin()
    api.query("UPDATE site_state SET last_slot = now() - interval '242 seconds' RETURNING 1")
    stream.wait_for_events(1)
    api.query("UPDATE site_state SET last_slot = now() RETURNING 1")
    stream.wait_for_events(2)
    assert stream.names() == [("state", site["id"], "unknown"), ("state", site["id"], "up")]
    assert "since" not in stream.events[0][1] and "since" in stream.events[1][1]
    # 15 s of the program's, not of this stream's: it may have come already.
    stream.wait(lambda s: s.comments >= 1, "a comment", 60)
    assert len(stream.events) == 2
    api.program.terminate()
    stream.wait(lambda s: s.ended == "whole", "the end of the stream")


def test_a_stream_ends_with_its_token(api, streams):
    mine, other = api.token("read"), api.token("read", "--days", "1")
    revoked, ended, stays = streams.begin(token=mine), streams.begin(token=other), streams.begin()
    assert sitewatch.run("api", "token", "revoke", mine.split("_")[1], env=api.env).returncode == 0
    api.query("UPDATE api_tokens SET expires_at = now() WHERE expires_at IS NOT NULL RETURNING 1")
    for stream in (revoked, ended):
        stream.wait(lambda s: s.ended == "whole", "the end of a stream whose token was taken back")
    again = streams(token=mine)
    assert again.status == 401
    api.post(url="https://example.com/")
    stays.wait_for_events(1)
    assert stays.ended is None


def test_two_hundred_clients_read_the_same_and_take_no_thread(api_database):
    api = api_database.start("--api-threads", "2")
    clients = [Stream(api) for _ in range(200)]
    try:
        for client in clients:
            client.wait(lambda s: s.id is not None, "the stream to begin")
        assert metrics(api)["sitewatch_api_event_clients"] == 200
        sites = [api.post(url=f"https://{i}.example/")["id"] for i in range(20)]
        for client in clients:
            client.wait_for_events(20)
        assert all(client.events == clients[0].events for client in clients)
        assert [data["id"] for _, data, _ in clients[0].events] == sites
        started = time.monotonic()
        assert api.ask("GET", "/websites").status == 200
        assert time.monotonic() - started < 5
    finally:
        for client in clients:
            client.close()
    wait_until_left(api)
    api.program.terminate()


def test_who_does_not_read_is_closed_and_holds_up_nobody(api_database):
    api = api_database.start("--api-timeout-seconds", "2")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", api.port))
    slow.sendall(f"GET /events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {api.read}\r\n\r\n".encode())
    process.wait_for(lambda: metrics(api)["sitewatch_api_event_clients"] == 1, "the slow client")
    quick = Stream(api).begin()
    # Events of sites at 1000 locations are long: soon more than the buffers between us hold.
    sites = [api.post(url=f"https://{i}.example/")["id"] for i in range(6)]
    api.query("WITH l AS (INSERT INTO locations (name) SELECT repeat('y', 200) || i"
              " FROM generate_series(1, 1000) i RETURNING location_id)"
              " INSERT INTO site_state (website_id, location_id, status, last_slot)"
              " SELECT website_id, location_id, 'up', now() FROM l CROSS JOIN unnest(%s::bigint[]) website_id"
              " RETURNING 1", sites)

    def closed():
        told = len(quick.events)
        api.query("UPDATE site_state SET status = CASE status WHEN 'up' THEN 'down' ELSE 'up' END"
                  " WHERE location_id = (SELECT min(location_id) FROM locations) RETURNING 1")
        quick.wait_for_events(told + 1)
        return metrics(api)["sitewatch_api_event_clients"] == 1

    process.wait_for(closed, "the slow client to be closed", 60)
    assert quick.ended is None
    slow.close()
    quick.close()
    wait_until_left(api)


def test_a_head_ends_and_a_ceiling_refuses(api_database):
    api = api_database.start("--api-event-clients", "1")
    head = api.ask("HEAD", "/events")
    assert head.status == 200 and head.body == b"" and head.headers["Content-Type"] == "text/event-stream"
    process.wait_for(lambda: metrics(api)["sitewatch_api_event_clients"] == 0, "HEAD to take no place")
    assert api.ask("GET", "/events", headers={"Authorization": None}).status == 401
    assert api.ask("GET", "/events?id=1").status == 400
    one = Stream(api).begin()
    refused = api.ask("GET", "/events")
    assert refused.status == 503 and refused.headers["Retry-After"] == "5"
    assert metrics(api)["sitewatch_api_event_clients_refused_total"] == 1
    one.close()
    wait_until_left(api)
    Stream(api).begin().close()


def test_streams_go_over_tls(api_database, certs):
    api = api_database.start("--api-cert-file", certs / "good.pem", "--api-key-file", certs / "good.key")
    context = ssl.create_default_context(cafile=certs / "ca.pem")
    clients = [Stream(api, context=context) for _ in range(5)]
    for client in clients:
        client.begin()
    for i in range(3):
        tell(api, i + 1)
        for client in clients:
            assert client.wait_for_events(i + 1)[-1][1] == {"id": i + 1, "change": "changed"}
    api.program.terminate()
    for client in clients:
        client.wait(lambda s: s.ended == "whole", "the end of the stream")


def test_a_lost_database_is_a_reset_when_it_is_back(api, streams, postgres):
    stream = streams.begin()
    postgres.crash()
    try:
        api.program.wait_for_line("events wait for Postgres")
    finally:
        postgres.start()
    api.program.wait_for_line("events go on")
    assert stream.wait_for_events(1)[0][0] == "reset"
    tell(api, 7)
    assert stream.wait_for_events(2)[1][1]["id"] == 7
    assert metrics(api)["sitewatch_api_event_resets_total"] == 1


def test_a_real_site_that_turns_down_is_told_of_from_its_row(api, pipeline, sited, streams):
    """The whole way: producer, Kafka, consumer, Postgres, stream."""
    consumer = pipeline.consumer(POSTGRES_DSN=api.env["POSTGRES_DSN"]).wait_until_ready()
    stream = streams.begin()
    producer = pipeline.producer("--url", sited.url("/toggle?fail=2"), "--seconds", "1")
    stream.wait(lambda s: [d.get("state") for n, d, _ in s.events if n == "state"][-2:] in (["up", "down"], ["down", "up"]),
                "both states", 60)
    producer.terminate()
    consumer.terminate()
