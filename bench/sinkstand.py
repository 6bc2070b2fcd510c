"""What the contenders of bench/sink share: Kafka with events in it, Postgres, and how a run is
measured.

The events are those of docs/events.md's example, with values that differ: 10,000 sites, each due
every 30 s, in the order in which they would be checked. One site in a hundred is down throughout,
and one in a hundred is down at every tenth check.
"""

import contextlib
import os
import pathlib
import random
import subprocess
import time
import uuid

import confluent_kafka
import psycopg2

import harness
from stand import kafka, postgres, process

SITES, INTERVAL_MS = 10_000, 30_000
PARTITIONS = 12
KEPT = "('websites', 'locations', 'schema_migrations')"


# ---- events ----

_seconds = {}  # a second -> its text


def text_of(ms):
    second = ms // 1000
    if second not in _seconds:
        _seconds.clear()
        _seconds[second] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return f"{_seconds[second]}.{ms % 1000:03}Z"


def is_down(site, number):
    return site % 100 == 0 or (site % 100 == 1 and number % 10 == 9)


EVENT = (
    '{"schema":1,"id":"%(id)s","site":{"name":"%(name)s","url":"https://%(name)s.example/",'
    '"id":%(number)d},"location":"local","observer":"host-1","slot":"%(slot)s","time":"%(time)s",'
    '"lag_us":812,"attempt":1,"final":true,"interval_s":30,"status":"%(status)s",'
    '"http":{"status_code":%(code)d,"version":"2","redirects":0,"body_bytes":%(bytes)d,'
    '"final_url":"https://%(name)s.example/"},"timing_us":{"dns":%(dns)d,"connect":%(connect)d,'
    '"tls":%(tls)d,"wait":%(wait)d,"transfer":%(transfer)d,"total":%(total)d},'
    '"peer":"93.184.216.34","tls":{"version":"TLSv1.3","not_after":"2027-01-01T00:00:00Z"},'
    '"pattern":{"matched":true,"answers":[["v12","12"]]}%(error)s}')
ERROR = ',"error":{"type":"status","phase":"wait","message":"status 503 is not in 200-399"}'


def event(site, slot_ms, number, chance=random.Random(1)):
    """(key, value, whether the site is down)"""
    name, down = f"site-{site:05}", is_down(site, number)
    bits = chance.getrandbits(80)
    dns, connect, tls, wait, transfer = (500 + (bits >> shift & 0xffff)
                                         for shift in (0, 16, 32, 48, 64))
    value = EVENT % {
        "id": uuid.uuid5(uuid.NAMESPACE_URL, f"{name}|local|{slot_ms}|1"), "name": name,
        "number": site + 1, "slot": text_of(slot_ms), "time": text_of(slot_ms + 1),
        "status": "down" if down else "up", "code": 503 if down else 200, "bytes": transfer,
        "dns": dns, "connect": connect, "tls": tls, "wait": wait, "transfer": transfer,
        "total": dns + connect + tls + wait + transfer, "error": ERROR if down else ""}
    return name.encode(), value.encode(), down


def history(count, end_ms):
    """`count` events in the order of their slots, the last of them due at end_ms."""
    rounds = -(-count // SITES)
    for i in range(count):
        site, number = i % SITES, i // SITES
        slot_ms = end_ms - (rounds - number) * INTERVAL_MS + site * INTERVAL_MS // SITES
        yield event(site, slot_ms, number)


class Feed:
    """Puts events where the producer would, and packs them as it does."""

    def __init__(self, bootstrap):
        self.failed = []
        self.producer = confluent_kafka.Producer({
            "bootstrap.servers": bootstrap, "linger.ms": 20, "partitioner": "murmur2_random",
            "compression.codec": os.environ.get("BENCH_CODEC", "lz4")})

    def put(self, topics, made):
        key, value, down = made
        while True:
            try:
                self.producer.produce(topics[down], value, key, on_delivery=self._on_delivery)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def _on_delivery(self, error, _):
        if error:
            self.failed.append(error)

    def end(self):
        assert self.producer.flush(60) == 0 and not self.failed, self.failed[:3]


# ---- the servers ----

class Stand:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        # Workers that start at once join in one generation.
        self.broker = kafka.Kafka("group.initial.rebalance.delay.ms=1500\n")
        self.server = postgres.Postgres()
        self.database = "bench"
        self.runs = 0

    def dsn(self):
        return self.server.dsn(self.database)

    def make_topics(self, suffix=""):
        topics = (f"success{suffix}", f"failure{suffix}")
        for topic in topics:
            self.broker.create_topic(topic, PARTITIONS)
        return topics

    def fill(self, topics, count):
        feed = Feed(self.broker.bootstrap)
        end_ms = int(time.time() * 1000) - 60_000
        for made in history(count, end_ms):
            feed.put(topics, made)
        feed.end()

    def query(self, sql):
        return self.server.query(self.database, sql)

    def psql(self, command):
        """(seconds, processor seconds, peak memory in MB) of psql."""
        started = time.monotonic()
        done = subprocess.Popen([self.server.bin / "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d",
                                 self.dsn(), "-c", command], stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(done.pid, 0)
        done.returncode = status
        assert status == 0, command
        return (time.monotonic() - started, usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss / 1024)

    def prepare(self):
        """Nothing of an earlier run is left in the tables, in memory or to be written."""
        rows = self.query("SELECT c.relname FROM pg_class c JOIN pg_namespace n "
                          "ON n.oid = c.relnamespace WHERE n.nspname = 'public' "
                          f"AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
                          f"AND c.relname NOT IN {KEPT}")
        self.query("TRUNCATE " + ", ".join(f'"{row["relname"]}"' for row in rows))
        self.query("CHECKPOINT")
        self.runs += 1

    def server_cpu(self):
        """Of Postgres, in seconds, with the backends that have ended."""
        pid = self.server.process.pid
        return harness.cpu_seconds(pid) + harness.ended_seconds(pid)

    @contextlib.contextmanager
    def connection(self):
        made = psycopg2.connect(self.dsn())
        made.autocommit = True
        try:
            with made.cursor() as cursor:
                yield cursor
        finally:
            made.close()

    def close(self):
        self.broker.close()
        self.server.close()


# ---- a run ----

class Watch:
    """What is spent between the first look and the last, by a sink and by Postgres."""

    def __init__(self, stand, pid):
        self.stand, self.pid = stand, pid
        self.at = time.monotonic()
        self.sink, self.server = harness.cpu_seconds(pid), stand.server_cpu()

    def metrics(self, rows):
        seconds = time.monotonic() - self.at
        return {"rate": rows / seconds,
                "us_row": (harness.cpu_seconds(self.pid) - self.sink) / rows * 1e6,
                "pg_us_row": (self.stand.server_cpu() - self.server) / rows * 1e6,
                "rss_mb": harness.memory_mb(self.pid, peak=True)}


def until(stand, sql, wanted, seconds=300):
    """Ask until the answer is `wanted` or more; a tenth of the time at the most is the question's.
    Returns (answer, when)."""
    deadline = time.monotonic() + seconds
    with stand.connection() as cursor:
        while True:
            before = time.monotonic()
            cursor.execute(sql)
            (answer,) = cursor.fetchone()
            now = time.monotonic()
            if (answer or 0) >= wanted:
                return answer, now
            if now > deadline:
                raise process.Timeout(f"{sql}: {answer} of {wanted} after {seconds} s")
            time.sleep(max(0.02, 9 * (now - before)))
