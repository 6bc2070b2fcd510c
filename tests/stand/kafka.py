"""A Kafka of one node, from Apache's own jars, in a temporary directory and on free ports; or one that
runs already."""

import json
import pathlib
import signal
import subprocess
import tempfile
import time

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from . import fetch, process

CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
HERE = pathlib.Path(__file__).resolve().parent

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.segment.bytes=16777216
log.index.size.max.bytes=1048576
"""

# Whoever is not denied may do everything.
AUTHORIZER = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""

# Clients show a certificate of the CA. Beside it a listener whose own certificate is of another host.
TLS = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},TLS://127.0.0.1:{tls},WRONG://127.0.0.1:{wrong}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},TLS://localhost:{tls},WRONG://localhost:{wrong}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,TLS:SSL,WRONG:SSL
ssl.client.auth=required
ssl.truststore.type=PEM
ssl.truststore.location={certs}/ca.pem
ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location={keys}/good.pem
listener.name.wrong.ssl.keystore.location={keys}/wrong-host.pem
"""

LOGGING = """
Configuration:
  Appenders:
    Console:
      name: STDOUT
      PatternLayout: {pattern: "[%d] %p %m (%c)%n"}
  Loggers:
    Root:
      level: WARN
      AppenderRef: [{ref: STDOUT}]
"""


def write_keystore(certs, name, path):
    """Kafka wants the key as PKCS #8, and the certificate after it."""
    key = subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", certs / f"{name}.key"],
                         check=True, capture_output=True, text=True).stdout
    path.write_text(key + (certs / f"{name}.pem").read_text())


class Broker:
    """What tests ask of a Kafka that runs at `bootstrap`."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def close(self):
        """It is not ours to stop."""

    # ---- topics and messages ----

    def create_topic(self, name, partitions=1, **config):
        future = self.admin.create_topics(
            [NewTopic(name, partitions, 1,
                      config={key.replace("_", "."): str(v) for key, v in config.items()})])[name]
        future.result(30)
        process.wait_for(lambda: len(self.admin.list_topics(name, 5).topics[name].partitions)
                         == partitions, f"topic {name}")

    def topics(self):
        return set(self.admin.list_topics(timeout=10).topics)

    def delete_topics(self, *names):
        for future in self.admin.delete_topics(list(names)).values():
            future.result(30)

    def grow_topic(self, name, partitions):
        self.admin.create_partitions([NewPartitions(name, partitions)])[name].result(30)
        process.wait_for(lambda: len(self.admin.list_topics(name, 5).topics[name].partitions)
                         == partitions, f"{partitions} partitions of {name}")

    def produce(self, topic, messages):
        """messages: dicts of value, and key, headers, partition. All are stored on return."""
        failed = []
        producer = confluent_kafka.Producer({
            "bootstrap.servers": self.bootstrap, "message.max.bytes": 8_000_000, "linger.ms": 5})
        for message in messages:
            while True:
                try:
                    producer.produce(topic, on_delivery=lambda e, _: e and failed.append(e), **message)
                    break
                except BufferError:  # its queue is full
                    producer.poll(0.1)
        assert producer.flush(30) == 0 and not failed, failed

    def end_offsets(self, topic):
        """{partition: the next offset to be written}."""
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.bootstrap,
                                             "group.id": "looks-only"})
        try:
            partitions = self.admin.list_topics(topic, 10).topics[topic].partitions
            return {p: consumer.get_watermark_offsets(
                confluent_kafka.TopicPartition(topic, p), 10)[1] for p in partitions}
        finally:
            consumer.close()

    def read(self, topic, count=None, seconds=20.0):
        """`count` messages of the topic, or all that are in it now; Timeout when fewer come."""
        ends = self.end_offsets(topic)
        consumer = confluent_kafka.Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": "reads-only",
            "enable.auto.commit": False, "fetch.message.max.bytes": 8_000_000,
            "auto.offset.reset": "earliest"})
        wanted = count if count is not None else sum(ends.values())
        found = []
        try:
            consumer.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in ends])
            deadline = time.monotonic() + seconds
            while len(found) < wanted:
                if time.monotonic() > deadline:
                    raise process.Timeout(f"{topic}: {len(found)} messages, not {wanted}, in {seconds:g} s")
                for message in consumer.consume(500, 0.1):
                    assert message.error() is None, message.error()
                    found.append(message)
        finally:
            consumer.close()
        return found


class Kafka(Broker):
    """`more`: further lines of server.properties; `certs`: it speaks TLS too, at tls_bootstrap."""

    def __init__(self, more="", certs=None):
        self.libs = fetch.kafka()
        self.directory = tempfile.TemporaryDirectory(prefix="sitewatch-kafka-")
        base = pathlib.Path(self.directory.name)
        self.log = base / "kafka.log"
        self.properties = base / "server.properties"
        self.port = process.free_port()
        ports = {"port": self.port, "controller": process.free_port()}
        if certs is not None:
            ports.update(tls=process.free_port(), wrong=process.free_port())
            self.tls_bootstrap = f"localhost:{ports['tls']}"
            self.wrong_host_bootstrap = f"localhost:{ports['wrong']}"
            for name in ("good", "wrong-host"):
                write_keystore(certs, name, base / f"{name}.pem")
            more += TLS.format(certs=certs, keys=base, **ports)
        self.properties.write_text(PROPERTIES.format(data=base / "data", **ports) + more)
        (base / "log4j2.yaml").write_text(LOGGING)
        self.logging = base / "log4j2.yaml"
        formatted = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "-c",
                       str(self.properties)), capture_output=True, text=True, check=False)
        assert formatted.returncode == 0, formatted.stdout + formatted.stderr
        self.process = None
        super().__init__(f"127.0.0.1:{self.port}")
        self.start()

    def _java(self, main, *args):
        return ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                f"-Dlog4j2.configurationFile={self.logging}", "-cp", f"{self.libs}/*", main, *args]

    def start(self):
        with self.log.open("ab") as log:
            self.process = process.start(self._java("kafka.Kafka", str(self.properties)),
                                         stdout=log, stderr=subprocess.STDOUT)
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

        def answers():
            assert self.process.poll() is None, self.log.read_text()
            try:
                return client.list_topics(timeout=1).brokers
            except confluent_kafka.KafkaException:
                return False

        process.wait_for(answers, "Kafka to answer", 60)

    def stop(self, sig=signal.SIGTERM):
        process.stop(self.process, sig, 30)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        # What it has stored is not needed any more, so it need not end in an orderly way.
        self.stop(signal.SIGKILL)
        self.directory.cleanup()

    # ---- what takes its own tools ----

    def change_acls(self, *args):
        """What kafka-acls.sh takes. The broker needs an authorizer (AUTHORIZER)."""
        done = subprocess.run(
            self._java("org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.bootstrap,
                       *args), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def delete_records(self, topic, partition, before):
        """The log of the partition begins at offset `before` from now on."""
        spec = pathlib.Path(self.directory.name) / "delete-records.json"
        spec.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": topic, "partition": partition, "offset": before}]}), encoding="utf-8")
        done = subprocess.run(
            self._java("org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server",
                       self.bootstrap, "--offset-json-file", str(spec)),
            capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
