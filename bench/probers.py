"""The contenders of bench/probe: the producer, its peers and its limits, each as a process on core
0 that checks the sites of a `Load`, with Kafka and the sites' server on core 1.

How much a check cost is the prober's processor time over a few seconds, divided by the requests
that the server saw in them. A prober gets credit for a request only when a result of it came out:
what arrived in the Kafka topic of good results over the whole run (for those without Kafka: what
they printed), divided by what the server saw over the whole run.
"""

import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import time
import urllib.request

import confluent_kafka

import harness
from harness import ROOT
from stand import kafka, process, sitewatch

PROBER_CORE, SERVER_CORE = 0, 1
ADDRESSES = {"http": 50, "https": 4}  # certs.sh makes a certificate for so many
LIMIT_IN_FLIGHT = 100  # of the programs that are the limit, when they make as many checks as they can
PATTERN = r"systems\s+operational v\d+\.\d+"
PEERS = pathlib.Path(os.environ.get("PEERS", ROOT / "build" / "peers"))
NO_CHECKS = ssl.create_default_context()
NO_CHECKS.check_hostname = False
NO_CHECKS.verify_mode = ssl.CERT_NONE


def peer(name):
    path = PEERS / name
    if not path.exists():
        sys.exit(f"{path} is missing: run bench/peers.sh")
    return str(path)


def program(name):
    return str(ROOT / "build" / "bench" / name)


class Pages:
    """bench/pages, plain or with TLS, on the servers' core."""

    def __init__(self, scheme, certs):
        tls = ["--tls", str(certs / "good.pem"), str(certs / "good.key")]
        with harness.pinned(SERVER_CORE):
            self.server = process.Server(program("pages"), *(tls if scheme == "https" else []))
        self.scheme, self.port = scheme, self.server.port
        self.ca_file = str(certs / "ca.pem")

    def url(self, site, host=None):
        host = host or f"127.0.0.{1 + site % ADDRESSES[self.scheme]}"
        return f"{self.scheme}://{host}:{self.port}/t/{site}"

    def counts(self):
        url = f"{self.scheme}://127.0.0.1:{self.port}/count"
        with urllib.request.urlopen(url, timeout=30, context=NO_CHECKS if self.scheme == "https"
                                    else None) as answer:
            return json.load(answer)

    def requests(self):
        return self.counts()["requests"]

    def stop(self):
        self.server.stop()


class Stand:
    """What all runs share: Kafka and the servers on their core, and a directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.certs = self.directory / "certs"
        subprocess.run([ROOT / "tests/stand/certs.sh", self.certs], check=True,
                       stdin=subprocess.DEVNULL)
        with harness.pinned(SERVER_CORE):
            self.kafka = kafka.Kafka()
            self.pages = {scheme: Pages(scheme, self.certs) for scheme in ADDRESSES}
            self.dns = None
        for topic in ("success", "failure", "telegraf"):
            self.kafka.create_topic(topic, 2, retention_bytes=1 << 28)

    def name_server(self):
        """A DNS server with names sN.aM of 127.0.0.(1+M) that nobody may keep."""
        if self.dns is None:
            zone = self.directory / "zone"
            zone.write_text("".join(f"*.a{i} A 127.0.0.{1 + i} 0\n"
                                    for i in range(ADDRESSES["http"])))
            with harness.pinned(SERVER_CORE):
                self.dns = process.Server("dnsd", "--zone", str(zone))
        return self.dns

    def last(self, topic, count):
        """The values of the last messages of each partition, `count` at the most."""
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.kafka.bootstrap,
                                             "group.id": "looks-only"})
        try:
            for partition, end in self.kafka.end_offsets(topic).items():
                first = max(0, end - count)
                consumer.assign([confluent_kafka.TopicPartition(topic, partition, first)])
                wanted = end - first
                while wanted > 0:
                    for message in consumer.consume(wanted, 1.0):
                        assert message.error() is None, message.error()
                        wanted -= 1
                        yield message.value()
        finally:
            consumer.close()

    def close(self):
        for server in [*self.pages.values(), *([self.dns] if self.dns else [])]:
            server.stop()
        self.kafka.close()


class Load:
    """Which sites, how often and how: `rate` is offered as that many sites once a second, or as
    `sites` sites at the interval that makes the rate."""

    def __init__(self, stand, scheme, rate, sites=None, reuse=False, resume=False, names=None,
                 saturate=False):
        self.stand, self.pages, self.rate = stand, stand.pages[scheme], rate
        self.sites = sites or rate
        self.interval_s = max(1, round(self.sites / rate))
        self.reuse, self.resume, self.names, self.saturate = reuse, resume, names, saturate

    @property
    def tls(self):
        return self.pages.scheme == "https"

    def urls(self):
        for site in range(self.sites):
            yield self.pages.url(site, f"s{site}.a{site % ADDRESSES['http']}" if self.names else None)


class Prober:
    """One run: started, warmed up, measured, stopped and credited."""

    def __init__(self, load):
        self.load = load
        self.pid = None
        self.begin()

    def begin(self):
        raise NotImplementedError

    def end(self):
        """Stop it, and return how many good results came out of it."""
        raise NotImplementedError

    def measure(self, settle=0.5, seconds=None):
        load, pages = self.load, self.load.pages
        before = pages.counts()
        # A second's worth of checks, so that every connection, handle and page is made.
        warm = before["requests"] + (load.rate if not load.saturate else 500)

        def checks_all():
            assert pathlib.Path(f"/proc/{self.pid}/exe").exists(), f"{type(self).__name__} has ended"
            return pages.requests() >= warm

        process.wait_for(checks_all, f"{type(self).__name__} to check", 120)
        time.sleep(settle)
        cpu, first, started = harness.cpu_seconds(self.pid), pages.counts(), time.monotonic()
        time.sleep(seconds or harness.SECONDS)
        cpu, last = harness.cpu_seconds(self.pid) - cpu, pages.counts()
        made, resumed = (last[what] - first[what] for what in ("requests", "resumed"))
        elapsed = time.monotonic() - started
        rss = harness.memory_mb(self.pid, peak=True)
        good = self.end()
        asked = pages.requests() - before["requests"]
        credit = min(1.0, good / asked)
        checks = made * credit
        assert checks > 0, f"{type(self).__name__}: {good} good results of {asked} requests"
        if not load.saturate and checks < 0.95 * load.rate * elapsed:
            print(f"  {type(self).__name__} does not keep up with {load.rate:,} a second")
        assert resumed >= 0.9 * made if load.resume else resumed == 0, f"{resumed} of {made} resumed"
        return {"us": cpu / checks * 1e6, "rate": checks / elapsed, "core_rate": checks / cpu,
                "cpu_share": cpu / elapsed, "rss_mb": rss, "credit": credit}


def write_sites(path, load, options=""):
    pattern = PATTERN.replace("\\", "\\\\")
    more = options + (f' ca_file = "{load.pages.ca_file}";' if load.tls else "")
    more += " reuse_connection = true;" if load.reuse else ""
    more += " tls_resume = true;" if load.resume else ""
    more += ' ip_version = "4";' if load.names == "4" else ""
    path.write_text(
        f'defaults = {{ seconds = {load.interval_s}; pattern = "{pattern}";{more} }};\ntargets = (\n'
        + ",\n".join(f'{{ url = "{url}"; }}' for url in load.urls()) + ");\n")


class Ours(Prober):
    """The producer, with everything it does for a check, into Kafka."""

    def begin(self):
        load, stand = self.load, self.load.stand
        sites = stand.directory / "sites.conf"
        write_sites(sites, load)
        self.delivered = self.in_topic()
        # With as many at a time as libcurl alone has: a burst of more makes each check of it dearer,
        # and so the burst longer.
        in_flight = LIMIT_IN_FLIGHT if load.saturate else 4000
        args = ["--targets-file", sites, "--in-flight-max", in_flight,
                *os.environ.get("BENCH_PRODUCER_ARGS", "").split()]
        if load.names:
            args += ["--dns-servers", f"127.0.0.1:{stand.name_server().port}", "--dns-ttl-min-s", 0]
        with harness.pinned(PROBER_CORE):
            self.program = sitewatch.Program("producer", args, {
                "KAFKA_BOOTSTRAP_SERVERS": stand.kafka.bootstrap, "LISTEN": "off",
                "KAFKA_TOPIC_SUCCESS": "success", "KAFKA_TOPIC_FAILURE": "failure",
                "LOG_LEVEL": "warning"}, stand.directory)
        self.pid = self.program.pid

    def in_topic(self):
        return sum(self.load.stand.kafka.end_offsets("success").values())

    def end(self):
        self.program.terminate()
        self.program.close()
        return self.in_topic() - self.delivered


class Telegraf(Prober):
    """inputs.http_response, an input a site, spread over the interval, into Kafka as JSON."""

    def begin(self):
        load, stand = self.load, self.load.stand
        config = stand.directory / "telegraf.conf"
        tls = f'  tls_ca = "{load.pages.ca_file}"\n' if load.tls else ""
        config.write_text(f"""
[agent]
  interval = "{load.interval_s}s"
  round_interval = false
  flush_interval = "1s"
  metric_buffer_limit = 100000
  omit_hostname = true
  quiet = true
[[outputs.kafka]]
  brokers = ["{stand.kafka.bootstrap}"]
  topic = "telegraf"
  data_format = "json"
""" + "".join(f"""[[inputs.http_response]]
  urls = ["{url}"]
  response_timeout = "10s"
  response_string_match = '''{PATTERN}'''
  collection_offset = "{i * load.interval_s * 1000 // load.sites}ms"
{tls}""" for i, url in enumerate(load.urls())))
        self.delivered = self.in_topic()
        with harness.pinned(PROBER_CORE), (stand.directory / "telegraf.log").open("wb") as log:
            self.process = process.start([peer("telegraf"), "--config", str(config)], stdout=log,
                                         stderr=log)
        self.pid = self.process.pid

    def in_topic(self):
        return sum(self.load.stand.kafka.end_offsets("telegraf").values())

    def end(self):
        """Bad results are in the same topic: how many, is estimated from the last ones."""
        process.stop(self.process, signal.SIGTERM, 60)
        last = [json.loads(message)["fields"] for message in self.load.stand.last("telegraf", 500)]
        good = sum(fields.get("response_string_match") == 1 for fields in last)
        return (self.in_topic() - self.delivered) * good / len(last)


class Limit(Prober):
    """curlprobe or rawprobe, which count what they checked."""

    name = ""

    def begin(self):
        load = self.load
        args = [program(self.name), "-p", str(load.pages.port), "-m", PATTERN, "-n",
                str(load.sites), "-d", str(ADDRESSES[load.pages.scheme]),
                "-c", str(LIMIT_IN_FLIGHT if load.saturate else 2000),
                "-r", str(0 if load.saturate else load.rate)]
        args += ["-k"] if load.reuse else []
        args += ["-a", load.pages.ca_file] if load.tls else []
        args += ["-z"] if load.resume else []
        with harness.pinned(PROBER_CORE):
            self.process = process.start(args, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def end(self):
        self.process.terminate()
        out, _ = self.process.communicate(timeout=30)
        return json.loads(out)["good"]


class Curl(Limit):
    name = "curlprobe"


class Raw(Limit):
    name = "rawprobe"


class Blackbox(Prober):
    """blackbox_exporter, asked by rawprobe on the servers' core as a Prometheus would."""

    def begin(self):
        load, stand = self.load, self.load.stand
        config, port = stand.directory / "blackbox.yml", process.free_port()
        config.write_text(json.dumps({"modules": {"bench": {
            "prober": "http", "timeout": "10s", "http": {
                "preferred_ip_protocol": "ip4",
                "fail_if_body_not_matches_regexp": [PATTERN]}}}}))
        with harness.pinned(PROBER_CORE), (stand.directory / "blackbox.log").open("wb") as log:
            self.process = process.start(
                [peer("blackbox_exporter"), f"--config.file={config}", "--log.level=error",
                 f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        self.pid = self.process.pid
        url = f"http://127.0.0.1:{port}/-/healthy"

        def answers():
            try:
                return urllib.request.urlopen(url, timeout=1).status == 200
            except OSError:
                return False

        process.wait_for(answers, "blackbox_exporter to answer")
        with harness.pinned(SERVER_CORE):
            self.asker = process.start(
                [program("rawprobe"), "-p", str(load.pages.port), "-v", str(port), "-k", "-m",
                 "probe_success 1", "-n", str(load.sites), "-c", "20",
                 "-r", str(0 if load.saturate else load.rate)], stdout=subprocess.PIPE, text=True)

    def end(self):
        self.asker.terminate()
        out, _ = self.asker.communicate(timeout=30)
        process.stop(self.process)
        return json.loads(out)["good"]


class Asyncio(Prober):
    """The Python prober, whose events are lines of a file."""

    def begin(self):
        load = self.load
        prefix = f"http://127.0.0.1:{load.pages.port}/t/"
        self.out = load.stand.directory / "asyncio.out"
        with harness.pinned(PROBER_CORE), self.out.open("wb") as out:
            self.process = process.start(
                [sys.executable, str(ROOT / "bench" / "asyncio_prober.py"), prefix,
                 str(load.sites), str(load.interval_s), PATTERN], stdout=out)
        self.pid = self.process.pid

    def end(self):
        process.stop(self.process)
        with self.out.open(encoding="utf-8") as lines:
            return sum('"status": 200' in line and '"matches": []' not in line for line in lines)
