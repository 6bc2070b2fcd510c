"""How long from the end of a check to its row: a producer with 2,000 sites that are due every
second, Kafka, a consumer and Postgres, all with their default settings.

Postgres notes when each transaction was committed (track_commit_timestamp); the check ended at
checked_at + response_time_us. All clocks are this machine's.
"""

import time

import harness
import sinks
from harness import ROOT
from stand import process, sitewatch

RATE, ADDRESSES = 2000, 50
SETTLE_SECONDS = 5

# Rows that were checked in the window, by the delay in ms.
DELAYS = """
SELECT count(*) AS rows, percentile_cont(ARRAY[0.5, 0.99, 0.999]) WITHIN GROUP (ORDER BY ms) AS at
FROM (SELECT 1000 * extract(epoch FROM pg_xact_commit_timestamp(xmin) - checked_at)
             - response_time_us / 1000.0 AS ms
      FROM checks
      WHERE response_time_us IS NOT NULL
        AND checked_at BETWEEN to_timestamp(%s) AND to_timestamp(%s)) AS delays
"""


def note_commits(stand):
    if stand.query("SHOW track_commit_timestamp")[0]["track_commit_timestamp"] != "on":
        stand.query("ALTER SYSTEM SET track_commit_timestamp = on")
        stand.server.stop()
        stand.server.start()


def run(stand):
    note_commits(stand)
    topics = stand.make_topics(f"-latency-{stand.runs}")
    pages = process.Server(str(ROOT / "build/bench/pages"))
    path = stand.directory / "sites.conf"
    path.write_text("targets = (" + ",\n".join(
        f'{{ url = "http://127.0.0.{1 + i % ADDRESSES}:{pages.port}/t/{i}"; seconds = 1; '
        'pattern = "operational"; }' for i in range(RATE)) + ");")
    consumer = sinks.start_consumer(stand, topics)
    consumer.wait_for_line('msg="partition claimed"', 60)
    producer = sitewatch.Program("producer", ["--targets-file", path], {
        "KAFKA_BOOTSTRAP_SERVERS": stand.broker.bootstrap, "KAFKA_TOPIC_SUCCESS": topics[0],
        "KAFKA_TOPIC_FAILURE": topics[1], "LISTEN": "off"}, stand.directory, 1)
    time.sleep(SETTLE_SECONDS)
    started = time.time()
    time.sleep(harness.SECONDS * 3)
    ended = time.time()
    producer.terminate()
    time.sleep(1)
    consumer.terminate()
    pages.stop()
    (found,) = stand.server.query(stand.database, DELAYS, started, ended)
    assert found["rows"] >= 0.95 * RATE * (ended - started), f"{found['rows']} rows"
    half, p99, p999 = (float(ms) for ms in found["at"])
    return {"rows": found["rows"], "p50_ms": half, "p99_ms": p99, "p999_ms": p999}
