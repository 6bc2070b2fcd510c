"""A producer among sites that misbehave, beside good ones: is its memory flat, and is it on time?

The sites are in KINDS. Memory and descriptors are sampled while it runs, the lag of the good
sites' checks and every verdict are read from Kafka.
"""

import array
import collections
import json
import pathlib
import subprocess
import threading
import time

import confluent_kafka

from . import process, sites, sitewatch

INTERVAL_S = 5
Kind = collections.namedtuple("Kind", "name of_1000 path options verdict")
# Of 1000 sites, so many are of this kind, and are to be found so. Those that hold their answer
# back are few enough that the checks in flight stay below the producer's limit.
KINDS = (
    Kind("good", 700, "/ok", "", "up"),
    Kind("slow-headers", 30, "/header-slow", "", "timeout"),
    Kind("byte-a-second", 30, "/drip/1000", "", "timeout"),
    Kind("late", 30, "/slow/3000", "", "timeout"),
    Kind("endless-body", 30, "/endless", "max_body_bytes = 65536;", "body_too_large"),
    Kind("gzip-bomb", 10, "/gzip-bomb", "max_body_bytes = 65536;", "body_too_large"),
    Kind("megabyte-headers", 10, "/bighead", "", "protocol"),
    Kind("endless-1xx", 10, "/1xx-endless", "", "protocol"),
    Kind("bad-chunks", 30, "/badchunk", "", "protocol"),
    Kind("reset", 30, "/reset", "", "read_failure"),
    Kind("reset-midbody", 30, "/reset-midbody", "", "read_failure"),
    Kind("redirect-loop", 20, "/loop", "", "redirect"),
    Kind("empty", 20, "/empty", "", "empty_reply"),
    Kind("garbage", 20, "/garbage", "", "protocol"),
)
# One site alone: each of its checks keeps the loop busy for the whole of the matching limit.
CATASTROPHIC = Kind("catastrophic-regex", 0, "/ok",
                    r'seconds = 10; pattern = "(\\.+)+[^\\.]$";', "pattern_limit")

LAG_P99_US_MAX = 10_000
LAG_P999_US_MAX = 100_000
# What may be added from the middle third of a run to its last one.
MEMORY_GROWTH_MB = 1.0
MEMORY_GROWTH = 0.02
DESCRIPTORS_GROWTH = 0.1
DESCRIPTORS_MORE = 20


def targets(good, bad, rate):
    """The sites file for so many checks a second, and {name: kind}."""
    count, kinds, groups = rate * INTERVAL_S, {}, []
    for kind in (*KINDS, CATASTROPHIC):
        server = good if kind.verdict == "up" else bad
        for i in range(count * kind.of_1000 // 1000 or 1):
            name = f"{kind.name}-{i}"
            kinds[name] = kind
            groups.append(f'{{ name = "{name}"; url = "{server.url(kind.path)}"; {kind.options} }}')
    return (f"defaults = {{ seconds = {INTERVAL_S}; timeout_ms = 2000; }};\ntargets = (\n"
            + ",\n".join(groups) + ");\n"), kinds


def quantile(numbers, q):
    return sorted(numbers)[min(len(numbers) - 1, int(q * len(numbers)))] if numbers else 0


def thirds(samples):
    """The middle and the last third; the first one is for warming up."""
    n = len(samples)
    return samples[n // 3:2 * n // 3], samples[2 * n // 3:]


def not_flat(samples, memory_growth_mb=MEMORY_GROWTH_MB):
    """Why (descriptors, memory in MB) that were sampled evenly are not flat; empty when they are.
    Memory is compared by medians, as one sample may hold a burst; descriptors by their maxima, as
    a leak of them ends the program."""
    middle, last = thirds(samples)
    reasons = []
    before, after = (quantile([mb for _, mb in part], 0.5) for part in (middle, last))
    if after > before * (1 + MEMORY_GROWTH) + memory_growth_mb:
        reasons.append(f"memory grew from {before:.1f} to {after:.1f} MB")
    before, after = (max(fds for fds, _ in part) for part in (middle, last))
    if after > before * (1 + DESCRIPTORS_GROWTH) + DESCRIPTORS_MORE:
        reasons.append(f"descriptors grew from {before} to {after}")
    return reasons


class Verdicts(threading.Thread):
    """Reads the events of both topics until stopped: counts by kind and verdict, lags of good ones.
    What came before `after` seconds of the wall clock is not looked at."""

    def __init__(self, kafka, topics, kinds, after):
        super().__init__(daemon=True)
        self.consumer = confluent_kafka.Consumer({
            "bootstrap.servers": kafka.bootstrap, "group.id": "soak",
            "auto.offset.reset": "earliest", "enable.auto.commit": False})
        self.consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0)
                              for topic in topics for partition in kafka.end_offsets(topic)])
        self.kinds, self.after = kinds, after
        self.counts = collections.Counter()
        self.lags = array.array("q")
        self.stopping = threading.Event()
        self.read = 0

    def run(self):
        while not self.stopping.is_set():
            for message in self.consumer.consume(2000, 0.2):
                assert message.error() is None, message.error()
                self.read += 1
                event = json.loads(message.value())
                kind = self.kinds[event["site"]["name"]]
                verdict = event.get("error", {}).get("type", event["status"])
                self.counts[kind.name, verdict] += 1
                if kind.verdict == "up" and message.timestamp()[1] / 1000 > self.after:
                    self.lags.append(event["lag_us"])
        self.consumer.close()

    def stop(self):
        self.stopping.set()
        self.join(30)


class Soak:
    """One run: `result` says what was seen, `failures` why it is not good."""

    def __init__(self, kafka, topics, directory, seconds, rate, say=lambda line: None):
        self.seconds, self.rate = seconds, rate
        self.samples, self.failures = [], []
        good, bad = sites.Sited(), sites.Sited()
        text, kinds = targets(good, bad, rate)
        path = pathlib.Path(directory) / "soak.conf"
        path.write_text(text, encoding="utf-8")
        timer = process.start([process.stand_program("timerlag")], stdout=subprocess.PIPE,
                              text=True)
        # The first round of checks makes all that is kept for the next ones.
        verdicts = Verdicts(kafka, topics, kinds, time.time() + 2 * INTERVAL_S)
        verdicts.start()
        self.producer = sitewatch.Program("producer", ["--targets-file", path], {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "KAFKA_TOPIC_SUCCESS": topics[0],
            "KAFKA_TOPIC_FAILURE": topics[1], "LISTEN": "127.0.0.1:0"}, directory)
        try:
            self._watch(say)
            self.missed = sitewatch.metric_sum(self.producer.metrics(), "sitewatch_slots_missed_total")
            self.producer.terminate(60)
        finally:
            self.producer.close()
            ends = sum(sum(kafka.end_offsets(topic).values()) for topic in topics)
            process.wait_for(lambda: verdicts.read >= ends or not verdicts.is_alive(),
                             "the last events", 60)
            verdicts.stop()
            timer.terminate()
            self.timer = json.loads(timer.communicate(timeout=10)[0])
            good.stop()
            bad.stop()
        self.lags, self.counts = sorted(verdicts.lags), verdicts.counts

    def _watch(self, say):
        self.producer.wait_until_ready(60)
        started, step = time.monotonic(), max(0.25, self.seconds / 300)
        proc = pathlib.Path(f"/proc/{self.producer.pid}")
        while time.monotonic() - started < self.seconds:
            time.sleep(step)
            assert self.producer.process.poll() is None, "\n".join(self.producer.lines[-20:])
            status = (proc / "status").read_text()
            mb = int(status.partition("VmRSS:")[2].split()[0]) / 1024
            self.samples.append((len(list((proc / "fd").iterdir())), mb))
            if len(self.samples) % 30 == 0:
                say(f"{time.monotonic() - started:6.0f} s  {mb:7.1f} MB  {self.samples[-1][0]} "
                    "descriptors")

    def lag(self, q):
        return self.lags[min(len(self.lags) - 1, int(q * len(self.lags)))]

    def check(self, times=True, memory_growth_mb=MEMORY_GROWTH_MB, p99_us_max=LAG_P99_US_MAX):
        """Why this run is not good: an empty list when it is."""
        found = not_flat(self.samples, memory_growth_mb)
        for kind in (*KINDS, CATASTROPHIC):
            total = sum(n for (name, _), n in self.counts.items() if name == kind.name)
            right = self.counts[kind.name, kind.verdict]
            if total == 0 or (times and right < 0.99 * total):
                others = {v: n for (name, v), n in self.counts.items() if name == kind.name}
                found.append(f"{kind.name}: not all are {kind.verdict}: {others}")
        if times:
            # No program can be more punctual than its machine.
            for q, limit, machine in ((0.99, p99_us_max, self.timer["p99"]),
                                      (0.999, LAG_P999_US_MAX, self.timer["p999"])):
                if self.lag(q) >= limit + machine:
                    found.append(f"lag at {q} is {self.lag(q)} us, not below {limit} us (a bare "
                                 f"timer thread's is {machine} us)")
            if self.missed:
                found.append(f"{self.missed:.0f} slots were missed")
        return found

    def table(self):
        middle, last = thirds(self.samples)

        def row(what, part):
            return (f"| {what} | {quantile([mb for _, mb in part], 0.5):.1f} | "
                    f"{max(mb for _, mb in part):.1f} | {quantile([n for n, _ in part], 0.5)} | "
                    f"{max(n for n, _ in part)} |")

        first = self.samples[:len(self.samples) // 3]
        lines = [f"{sum(self.counts.values()):,} checks in {self.seconds:g} s, "
                 f"{self.rate:,} a second offered", "",
                 "| | memory, MB: median | largest | descriptors: median | largest |",
                 "| --- | --- | --- | --- | --- |", row("first third", first),
                 row("middle third", middle), row("last third", last), "",
                 "| lag in µs | p50 | p99 | p99.9 | largest |", "| --- | --- | --- | --- | --- |",
                 f"| good sites | {self.lag(0.5):,} | {self.lag(0.99):,} | {self.lag(0.999):,} | "
                 f"{self.lags[-1]:,} |",
                 f"| a bare timer thread | {self.timer['p50']:,} | {self.timer['p99']:,} | "
                 f"{self.timer['p999']:,} | {self.timer['max']:,} |", "",
                 "| sites | checks | found as |", "| --- | --- | --- |"]
        for kind in (*KINDS, CATASTROPHIC):
            seen = {v: n for (name, v), n in self.counts.items() if name == kind.name}
            lines.append(f"| {kind.name} | {sum(seen.values()):,} | "
                         + ", ".join(f"{verdict} {n:,}" for verdict, n in sorted(seen.items())) + " |")
        return "\n".join(lines)
