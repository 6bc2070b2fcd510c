"""A backup that is older than what Kafka holds: the consumer goes on from the offsets in it (docs/operations.md)."""

import datetime
import random
import subprocess

from stand import events

SITES = 6
LOCATIONS = ("here", "there")


def run(*args):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def send(pipeline, rng, first, count):
    """`count` slots from the first on, of every site at both locations; sites go down and up, and some messages are
    no events."""
    base = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=2)
    success, failure = [], []
    for n in range(first, first + count):
        for site in range(SITES):
            for location in LOCATIONS:
                down = rng.random() < 0.3
                event = events.make(f"s{site}", base + datetime.timedelta(seconds=n), location=location, **(
                    {"status": "down", "error": {"type": "timeout", "message": f"at {n}"}} if down else {}))
                (failure if down else success).append({"key": f"s{site}", "value": events.encode(event)})
        if n % 20 == 0:
            failure.append({"key": "bad", "value": b"no JSON"})
    pipeline.kafka.produce(pipeline.success, success)
    pipeline.kafka.produce(pipeline.failure, failure)


def stored(pipeline):
    """All that comes from Kafka; ids are as they may be, so names stand for them."""
    site = "(SELECT name FROM websites w WHERE w.website_id = t.website_id) AS site"
    location = "(SELECT name FROM locations l WHERE l.location_id = t.location_id) AS location"
    locations = "(SELECT array_agg(name ORDER BY name) FROM locations WHERE location_id = ANY (t.location_ids)) AS locations"
    return {
        "checks": pipeline.query(f"SELECT {site}, {location}, slot, attempt, status, error_message FROM checks t"
                                 " ORDER BY 1, 2, 3, 4"),
        "state": pipeline.query(f"SELECT {site}, {location}, status, since, last_slot, failures_in_a_row, incident_slot"
                                " FROM site_state t ORDER BY 1, 2"),
        "incidents": pipeline.query(f"SELECT {site}, {location}, opened_slot, closed_slot, checks, error_message"
                                    " FROM incidents t WHERE NOT withdrawn ORDER BY 1, 2, 3"),
        "site_incidents": pipeline.query(f"SELECT {site}, {locations}, opened_slot FROM site_incidents t"
                                         " WHERE NOT withdrawn ORDER BY 1, 3"),
        "dead_letters": pipeline.query('SELECT topic, partition, "offset", reason FROM dead_letters ORDER BY 1, 2, 3'),
        "offsets": pipeline.query("SELECT topic, partition, next_offset FROM kafka_offsets ORDER BY 1, 2"),
    }


def test_an_older_backup_goes_on_from_its_offsets(pipeline, tmp_path):
    rng = random.Random(9)
    backup = tmp_path / "backup.dump"
    tools, dsn = pipeline.postgres.bin, pipeline.env["POSTGRES_DSN"]
    first = pipeline.consumer().wait_until_ready()
    send(pipeline, rng, 0, 100)
    pipeline.wait_for_rows(1)
    run(tools / "pg_dump", "--format=custom", "--file", backup, dsn)  # while it stores
    send(pipeline, rng, 100, 100)
    pipeline.wait_until_stored()
    first.terminate()
    before = stored(pipeline)
    assert len(before["checks"]) == 200 * SITES * len(LOCATIONS) and len(before["dead_letters"]) == 10
    assert before["site_incidents"]

    pipeline.postgres.query("postgres", f'DROP DATABASE "{pipeline.database}"')
    pipeline.postgres.query("postgres", f'CREATE DATABASE "{pipeline.database}" TEMPLATE template0')
    run(tools / "pg_restore", "--exit-on-error", "--dbname", dsn, backup)
    assert 0 < pipeline.count() < len(before["checks"])
    second = pipeline.consumer().wait_until_ready()
    pipeline.wait_until_stored()
    second.terminate()
    after = stored(pipeline)
    for what, rows in before.items():
        assert after[what] == rows, what
