"""A steady load of events that remembers what the broker acknowledged.

What it sends is a function of the seed: sites at two locations that go up and down, attempts that
are not final, checks that come late, checks that come twice as from producers that overlap, and
messages that are no events or hold what the test's database refuses.
"""

import datetime
import heapq
import itertools
import random
import threading
import time

import confluent_kafka

from stand import events

SITES = 12
LOCATIONS = ("here", "there")
REFUSED = "refused by the test's database"  # the error message of rows that Postgres must refuse
TICK_S = 0.02
EVERY = datetime.timedelta(seconds=60)

REFUSED_APART = 60  # messages: more than a tenth of a batch would stop the consumer

GOOD, POISON, REFUSE = b"good", b"poison", b"refuse"  # the header "kind"


def failures_of(site):
    """After how many failures in a row an incident of the site opens."""
    return site % 3 + 1


def quorum_of(site):
    """How many locations must say that the site is down."""
    return site % len(LOCATIONS) + 1


def targets():
    """The sites as a targets file."""
    return "targets = (" + ", ".join(
        f'{{ name = "s{i}"; url = "http://s{i}.example/"; seconds = 30; '
        f'failures = {failures_of(i)}; quorum = {quorum_of(i)}; }}' for i in range(SITES)) + ");"


class Load:
    def __init__(self, bootstrap, success, failure, seed, events_a_second):
        self.topics = {True: success, False: failure}
        self.rng = random.Random(f"load {seed}")
        self.per_tick = events_a_second * TICK_S
        self.sent = 0
        self.acknowledged = set()  # numbers, as in the header "n"
        self.failed = []
        self.duplicates = 0
        self._later = []           # (when, order, the arguments of _send)
        self._order = itertools.count()
        self._refuse_from = 0
        self._slots = {}
        self._down = {}
        # Hours that are over, so that their rollups are put together meanwhile.
        self._base = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=4)
        self._producer = confluent_kafka.Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5,
            "message.timeout.ms": 120000, "reconnect.backoff.max.ms": 500, "log_level": 0})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    # ---- one check ----

    def _event(self, site, location, attempt, final, down):
        rng = self.rng
        changes = {"location": location, "attempt": attempt, "final": final}
        if down or rng.random() < 0.05:
            changes["status"] = "down" if down else "unknown"
            changes["error"] = {"type": rng.choice(("timeout", "connect_refused", "status")) if down
                                else "local_network", "message": f"failure {rng.randrange(1000)}"}
        elif rng.random() < 0.05:
            changes["status"] = "degraded"
        slot = self._base + self._slots[site, location] * EVERY
        return events.make(f"s{site}", slot, **changes)

    def _check(self):
        """The events of the next slot of some site."""
        rng = self.rng
        key = site, location = rng.randrange(SITES), rng.choice(LOCATIONS)
        self._slots[key] = self._slots.get(key, 0) + 1
        if rng.random() < 0.2:
            self._down[key] = not self._down.get(key, False)
        down = self._down.get(key, False)
        if rng.random() < 0.1:
            yield self._event(site, location, 1, False, True)
            yield self._event(site, location, 2, True, down)
        else:
            yield self._event(site, location, 1, True, down)

    # ---- sending ----

    def _on_delivery(self, number):
        def note(error, _message):
            if error is None:
                self.acknowledged.add(number)
            else:
                self.failed.append(str(error))
        return note

    def _send(self, topic, kind, key, value):
        self.sent += 1
        self._producer.produce(topic, value, key, on_delivery=self._on_delivery(self.sent),
                               headers={"n": str(self.sent), "kind": kind})

    def _send_later(self, seconds, *what):
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), what))

    def _send_event(self, event):
        rng = self.rng
        what = (self.topics[event["status"] in ("up", "degraded")], GOOD, event["site"]["name"],
                events.encode(event))
        if rng.random() < 0.05:
            self._send_later(rng.uniform(0.2, 2), *what)  # it comes late
        else:
            self._send(*what)
        if rng.random() < 0.05:
            self.duplicates += 1
            self._send_later(rng.uniform(0, 2), *what)

    def _send_poison(self):
        event = events.make("bad")
        value = self.rng.choice((
            b"not JSON", b"", None, b"[1, 2]", events.encode({**event, "schema": 2}),
            events.encode({**event, "lag_us": "soon"}), events.encode(event)[:-9]))
        self._send(self.topics[self.rng.random() < 0.5], POISON, "bad", value)

    def _send_refused(self):
        self._slots["refused"] = self._slots.get("refused", 0) + 1
        slot = self._base + self._slots["refused"] * EVERY
        self._refuse_from = self.sent + REFUSED_APART
        self._send(self.topics[self.rng.random() < 0.5], REFUSE, f"key {self.rng.random()}", events.encode(
            events.make("refused", slot, status="down", error={"type": "status", "message": REFUSED})))

    def _run(self):
        due = 0.0
        while not self._stop.is_set():
            due += self.per_tick
            while due >= 1:
                due -= 1
                draw = self.rng.random()
                if draw < 0.01:
                    self._send_poison()
                elif draw < 0.02 and self.sent >= self._refuse_from:
                    self._send_refused()
                else:
                    for event in self._check():
                        self._send_event(event)
            while self._later and self._later[0][0] <= time.monotonic():
                self._send(*heapq.heappop(self._later)[2])
            self._producer.poll(0)
            self._stop.wait(TICK_S)

    def start(self):
        self._thread.start()

    def finish(self):
        """Send what is left, and wait until the broker has all of it."""
        self._stop.set()
        self._thread.join(30)
        while self._later:
            self._send(*heapq.heappop(self._later)[2])
        left = self._producer.flush(60)
        assert left == 0 and not self.failed, f"{left} events not acknowledged, failed: {self.failed[:3]}"
