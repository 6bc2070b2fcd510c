"""The contenders of bench/sink. Each brings the events of two topics into a table, from nothing,
and says what it took: rows a second, processor time a row of its own and of Postgres, and memory.

psql and the consumer are measured from the first partition that is claimed to the last row; the
peers, which start in ways of their own, from the first rows that are seen in the table.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import urllib.request

import sinkpeers
from harness import ROOT
from sinkstand import SITES, Watch, until
from stand import process, sitewatch

PEERS = pathlib.Path(os.environ.get("PEERS", ROOT / "build" / "peers"))
ROWS_ONLY = "build-rows/bin"
TAKEN = "SELECT sum(next_offset)::bigint FROM kafka_offsets"


@contextlib.contextmanager
def binaries(folder):
    before = os.environ.get("SITEWATCH_BIN")
    if folder is not None:
        os.environ["SITEWATCH_BIN"] = folder
    yield
    if before is None:
        os.environ.pop("SITEWATCH_BIN", None)
    else:
        os.environ["SITEWATCH_BIN"] = before


def start_consumer(stand, topics, workers=1, folder=None, **env):
    """Ours, in a group of its own that has stored nothing."""
    stand.prepare()
    with binaries(folder):
        return sitewatch.Program("consumer", [], {
            "POSTGRES_DSN": stand.dsn(), "KAFKA_BOOTSTRAP_SERVERS": stand.broker.bootstrap,
            "KAFKA_GROUP": f"bench-{stand.runs}", "KAFKA_TOPIC_SUCCESS": topics[0],
            "KAFKA_TOPIC_FAILURE": topics[1], "KAFKA_TOPIC_DEAD_LETTER": "dead", "WORKERS": workers,
            "LISTEN": "127.0.0.1:0", "LOG_LEVEL": "info", **env}, stand.directory)


def seed(stand):
    """The tables, the sites of the events, and the topic that the consumer wants to have."""
    stand.broker.create_topic("dead")
    done = sitewatch.run("consumer", "migrate", env={"POSTGRES_DSN": stand.dsn()})
    assert done.returncode == 0, done.stderr
    stand.query("INSERT INTO websites (website_id, name, website_url, monitoring_interval, source) "
                "SELECT i, 'site-' || lpad((i - 1)::text, 5, '0'), "
                "'https://site-' || lpad((i - 1)::text, 5, '0') || '.example/', 30, 'file' "
                f"FROM generate_series(1, {SITES}) i")
    stand.query("SELECT setval(pg_get_serial_sequence('websites', 'website_id'), "
                f"{SITES})")
    stand.query("VACUUM ANALYZE websites")


def consume(stand, topics, count, workers=1, folder=None):
    consumer = start_consumer(stand, topics, workers, folder)
    consumer.wait_for_line('msg="partition claimed"', 60)
    watch = Watch(stand, consumer.pid)
    until(stand, TAKEN, count)
    metrics = watch.metrics(count)
    stored = stand.query("SELECT count(*) AS n FROM checks")[0]["n"]
    assert stored == count, f"{stored} rows, not {count}"
    consumer.terminate()
    return metrics


def copy_of_psql(stand, file, count):
    """psql's binary COPY of the consumer's rows, in the order of the events, into the same empty table."""
    stand.prepare()
    before = stand.server_cpu()
    seconds, cpu, rss = stand.psql(f"\\copy checks FROM '{file}' (FORMAT binary)")
    return {"rate": count / seconds, "us_row": cpu / count * 1e6,
            "pg_us_row": (stand.server_cpu() - before) / count * 1e6, "rss_mb": rss}


# ---- peers ----

def peer(stand, pid, table, count):
    """From the first rows in the table to `count` of them."""
    sql = f"SELECT count(*) FROM {table}"
    first, _ = until(stand, sql, 1, 120)
    watch = Watch(stand, pid)
    last, _ = until(stand, sql, count)
    return watch.metrics(last - first)


def run_peer(stand, table, command, count):
    name = table.partition("_")[0]
    log = stand.directory / f"{name}-{stand.runs}.log"
    with log.open("wb") as out:
        started = process.start(command, stdout=out, stderr=subprocess.STDOUT, cwd=stand.directory)
    try:
        return peer(stand, started.pid, table, count)
    except process.Timeout:
        sys.stderr.write(log.read_text(errors="replace")[-3000:])
        raise
    finally:
        process.stop(started, signal.SIGTERM, 30)


def consumer_as_peer(stand, topics, count):
    """Ours, everything on, timed as the peers are."""
    consumer = start_consumer(stand, topics)
    try:
        return peer(stand, consumer.pid, "checks", count)
    finally:
        consumer.terminate()


def telegraf(stand, topics, count):
    stand.prepare()
    stand.query("DROP TABLE IF EXISTS telegraf_checks")
    stand.query(sinkpeers.TELEGRAF_TABLE)
    path = stand.directory / "telegraf.conf"
    path.write_text(sinkpeers.TELEGRAF.format(
        broker=stand.broker.bootstrap, topics=", ".join(f'"{t}"' for t in topics),
        group=f"telegraf-{stand.runs}", dsn=stand.dsn()))
    return run_peer(stand, "telegraf_checks",
                    [str(PEERS / "telegraf"), "--config", str(path), "--quiet"], count)


def debezium(stand, topics, count):
    stand.prepare()
    stand.query("DROP TABLE IF EXISTS debezium_checks")
    stand.query(sinkpeers.DEBEZIUM_TABLE)
    worker, sink = stand.directory / "worker.properties", stand.directory / "sink.properties"
    worker.write_text(sinkpeers.CONNECT_WORKER.format(
        broker=stand.broker.bootstrap, schema=sinkpeers.connect_schema(), port=process.free_port(),
        offsets=stand.directory / f"offsets-{stand.runs}"))
    sink.write_text(sinkpeers.DEBEZIUM.format(
        topics=",".join(topics), run=stand.runs, port=stand.server.port, database=stand.database))
    return run_peer(stand, "debezium_checks", [
        "java", "-Xmx1g", "-XX:+UseSerialGC", "-cp", f"{PEERS}/connect/*:{stand.directory}",
        "org.apache.kafka.connect.cli.ConnectStandalone", str(worker), str(sink)], count)


def psycopg(stand, topics, count):
    stand.prepare()
    stand.query("DROP TABLE IF EXISTS psycopg_checks")
    stand.query(sinkpeers.PSYCOPG_TABLE)
    return run_peer(stand, "psycopg_checks", [
        str(PEERS / "python/bin/python"), "-B", str(ROOT / "bench/psycopg_sink.py"),
        stand.broker.bootstrap, f"psycopg-{stand.runs}", stand.dsn(), *topics], count)


def rsyslog(stand, topics, count):
    stand.prepare()
    stand.query("DROP TABLE IF EXISTS rsyslog_checks")
    stand.query(sinkpeers.RSYSLOG_TABLE)
    path = stand.directory / "rsyslog.conf"
    path.write_text(sinkpeers.rsyslog_conf(
        stand.broker.bootstrap, topics, f"rsyslog-{stand.runs}",
        f"postgresql://postgres@127.0.0.1:{stand.server.port}/{stand.database}", stand.directory))
    return run_peer(stand, "rsyslog_checks", [
        "rsyslogd", "-n", "-f", str(path), "-i", str(stand.directory / "rsyslog.pid")], count)


def check_peers():
    """The names of those that are not there."""
    wanted = {"Telegraf": PEERS / "telegraf", "Debezium": PEERS / "connect",
              "psycopg": PEERS / "python/bin/python",
              "rsyslog": pathlib.Path("/usr/lib") / next(
                  (p.relative_to("/usr/lib") for p in pathlib.Path("/usr/lib").glob(
                      "*/rsyslog/imkafka.so")), "none")}
    return [name for name, path in wanted.items() if not path.exists()]


def metric(program, name):
    with urllib.request.urlopen(program.admin_url("/metrics"), timeout=10) as answer:
        return sitewatch.metric_sum(sitewatch.parse_metrics(answer.read().decode()), name)
