"""A day is made and a day goes while somebody reads all of checks: no insert waits for that."""

import os
import threading
import time

import psycopg2

from stand import process, sitewatch

READ_SECONDS = float(os.environ.get("PARTITIONS_READ_SECONDS", "5"))
LOCK_MS = 100  # an insert that waits longer for a lock fails

INSERT = ("INSERT INTO checks (website_id, slot, checked_at, lag_us, location_id, attempt, final, status, "
          "observer) VALUES (1, clock_timestamp(), now(), 0, 1, 1, true, 'up', 'h')")
DAYS = "SELECT relname FROM pg_class WHERE relname ~ '^checks_[0-9]{8}$'"


class Inserter(threading.Thread):
    """Inserts every 5 ms and keeps how long each took, until it is stopped or one fails."""

    def __init__(self, dsn):
        super().__init__(daemon=True)
        self.connection = psycopg2.connect(dsn, options=f"-c lock_timeout={LOCK_MS}")
        self.connection.autocommit = True
        self.took_ms = []
        self.error = None
        self.stopped = threading.Event()
        self.start()

    def run(self):
        with self.connection.cursor() as cursor:
            while not self.stopped.wait(0.005):
                begun = time.monotonic()
                try:
                    cursor.execute(INSERT)
                except psycopg2.Error as error:
                    self.error = error
                    return
                self.took_ms.append(1000 * (time.monotonic() - begun))

    def stop(self):
        self.stopped.set()
        self.join(30)
        self.connection.close()


def days(pipeline):
    return {row["relname"] for row in pipeline.query(DAYS)}


def attached(pipeline):
    return pipeline.query("SELECT count(*) AS n FROM pg_inherits WHERE inhparent = 'checks'::regclass "
                          "AND NOT inhdetachpending")[0]["n"]


def test_making_and_dropping_a_day_keeps_no_insert_waiting_while_checks_is_read(pipeline):
    assert sitewatch.run("consumer", "migrate", env=pipeline.env).returncode == 0
    pipeline.query("SELECT checks_make_day((now() AT TIME ZONE 'UTC')::date - d) FROM unnest('{0,100}'::int[]) d")
    old = min(days(pipeline))
    pipeline.query(INSERT)
    dsn = pipeline.postgres.dsn(pipeline.database)
    reader = psycopg2.connect(dsn)
    inserter = Inserter(dsn)
    reading = threading.Thread(target=lambda: reader.cursor().execute(
        "SELECT pg_sleep(%s) FROM (SELECT FROM checks LIMIT 1) c", (READ_SECONDS,)), daemon=True)
    try:
        reading.start()
        process.wait_for(lambda: pipeline.query(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"),
            "checks to be read")
        consumer = pipeline.consumer("--retention-days", "7")
        process.wait_for(lambda: attached(pipeline) == 8, "the next days to be made", READ_SECONDS)
        consumer.wait_for_line("what is past its retention is kept for now", READ_SECONDS)
        assert reading.is_alive(), "the read ended too early: PARTITIONS_READ_SECONDS is too low"
        reading.join(READ_SECONDS + 30)
        reader.close()
        consumer.terminate()
        consumer = pipeline.consumer("--retention-days", "7")
        consumer.wait_for_line('msg="day dropped"', 60)
        assert old not in days(pipeline) and len(days(pipeline)) == 8
    finally:
        inserter.stop()
    assert inserter.error is None, inserter.error
    assert len(inserter.took_ms) > 20
    took = sorted(inserter.took_ms)
    print(f"a read of {READ_SECONDS:g} s, 7 days made, one dropped: {len(took)} inserts, the median took "
          f"{took[len(took) // 2]:.1f} ms, the longest {took[-1]:.1f} ms; none waited {LOCK_MS} ms for a lock")
    consumer.terminate()
