"""Programs of two versions beside each other (docs/upgrade.md).

SITEWATCH_EARLIER names the programs of an earlier version (the bin directory of its tree). Without it this version plays
both parts, and the later one's schema is made up.
"""

import contextlib
import datetime
import hashlib
import os
import threading

from stand import events, process, sitewatch

LATER = """
ALTER TABLE checks ADD COLUMN later text;
ALTER TABLE site_state ADD COLUMN later integer NOT NULL DEFAULT 7;
ALTER TABLE websites ADD COLUMN later jsonb;
CREATE TABLE later (website_id bigint PRIMARY KEY);
CREATE INDEX later_state ON site_state (later) WHERE status = 'down';
INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, '9999_later', 'x');
"""


@contextlib.contextmanager
def earlier():
    """Programs that are started in here are those of the earlier version."""
    ours = os.environ.get("SITEWATCH_BIN")
    os.environ["SITEWATCH_BIN"] = os.environ.get("SITEWATCH_EARLIER") or ours or "build/bin"
    try:
        yield
    finally:
        os.environ.pop("SITEWATCH_BIN")
        if ours is not None:
            os.environ["SITEWATCH_BIN"] = ours


class Load:
    """Events of both versions, as fast as they are taken, until it is ended: the later ones have members that the earlier
    version does not know."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        base = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        while not self._stop.wait(0.02):
            slot = base + datetime.timedelta(seconds=self.sent // 10)
            made = []
            for n in range(10):
                event = events.make(f"s{n}", slot)
                if n % 2:
                    event.update(later={"a": [1, 2]}, timing_us={**event["timing_us"], "later": 5})
                made.append({"key": f"s{n}", "value": events.encode(event)})
            self.pipeline.kafka.produce(self.pipeline.success, made)
            self.sent += len(made)

    def wait_for(self, more):
        goal = self.sent + more
        process.wait_for(lambda: self.sent >= goal, f"{more} more events", 60)

    def end(self):
        self._stop.set()
        self._thread.join()
        return self.sent


def test_consumers_of_two_versions_store_side_by_side(pipeline):
    with earlier():
        first = pipeline.consumer().wait_until_ready()
        second = pipeline.consumer().wait_until_ready()
    load = Load(pipeline)
    load.wait_for(100)
    third = pipeline.consumer().wait_until_ready()  # brings the schema up to date under the others
    load.wait_for(100)
    pipeline.query(LATER)
    load.wait_for(100)
    first.terminate()
    fourth = pipeline.consumer("--no-migrate").wait_until_ready()
    said = fourth.wait_for_line("the schema is newer than this program")
    assert "level=warning" in said and "schema=9999" in said
    load.wait_for(100)
    second.terminate()
    load.wait_for(100)
    sent = load.end()
    pipeline.wait_until_stored()
    assert pipeline.count() == sent
    assert pipeline.count("dead_letters") == 0
    for consumer in (third, fourth):
        assert not consumer.has_line("cannot store")
        consumer.terminate()


def test_producers_of_two_versions_share_a_consumer(pipeline, sited):
    sites = pipeline.targets_file(f'targets = ({{ name = "a"; url = "{sited.url("/ok?upgrade")}"; seconds = 1; }});')
    producers = []
    with earlier():
        producers.append(pipeline.producer("--targets-file", sites, "--location", "earlier"))
    producers.append(pipeline.producer("--targets-file", sites, "--location", "later"))
    consumer = pipeline.consumer().wait_until_ready()
    for location in ("earlier", "later"):
        process.wait_for(lambda of=location: pipeline.query(
            "SELECT 1 FROM site_locations WHERE location = %s AND status = 'up'", of), f"checks of {location}")
    for program in [*producers, consumer]:
        program.terminate()
    assert pipeline.count("dead_letters") == 0


# ---- a database of an earlier version ----

def make_earlier_schema(pipeline, last):
    """As the migrations up to this one leave it."""
    pipeline.postgres.query("postgres", f'CREATE DATABASE "{pipeline.database}"')
    pipeline.query("CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL,"
                   " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())")
    for path in sorted((process.ROOT / "sql").glob("*.sql")):
        if int(path.name[:4]) > last:
            continue
        pipeline.query(path.read_text())
        pipeline.query("INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)", int(path.name[:4]),
                       path.stem, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_database_of_an_earlier_version_is_brought_up_with_what_it_holds(pipeline):
    make_earlier_schema(pipeline, 7)
    pipeline.query("INSERT INTO locations (name) VALUES ('here'), ('there')")
    pipeline.query("INSERT INTO websites (name, website_url, monitoring_interval, source, config) VALUES"
                   " ('one', 'http://one.example/', 30, 'file', '{}'),"
                   " ('both', 'http://both.example/', 30, 'file', '{\"quorum\": 2}')")
    pipeline.query("INSERT INTO site_state (website_id, location_id, status, since, last_slot, incident_slot)"
                   " SELECT website_id, location_id, 'down', now(), now(), CASE WHEN location_id = 1 THEN now() END"
                   " FROM websites, locations")
    pipeline.query("INSERT INTO incidents (website_id, location_id, opened_slot, closed_slot, checks)"
                   " SELECT website_id, location_id, now() - location_id * interval '1 hour',"
                   " CASE WHEN location_id = 2 THEN now() - interval '30 minutes' END, 1 FROM websites, locations")
    refused = sitewatch.run("consumer", "--no-migrate", env=pipeline.env)
    assert refused.returncode == 1
    assert "the schema is older than this program: migration 0008_api_role is missing; run consumer migrate" in refused.stderr
    done = sitewatch.run("consumer", "migrate", env=pipeline.env)
    assert done.returncode == 0 and "0009_overall" in done.stdout
    found = pipeline.query("SELECT w.name, date_trunc('minute', i.opened_slot - now() + interval '1 s') AS opened, closed_slot"
                           " IS NULL AS open, quorum FROM site_incidents i JOIN websites w USING (website_id) ORDER BY 1")
    hours = datetime.timedelta(hours=-1)
    assert [(r["name"], round(r["opened"] / hours), r["open"], r["quorum"]) for r in found] == [
        ("both", 1, False, 2), ("one", 2, True, 1)]
