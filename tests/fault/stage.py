"""One round: topics, a database and consumers of its own on the servers of the run, the load, the
plan, and what is true afterwards."""

import collections
import itertools
import pathlib
import signal
import threading
import time

import load
import members
import psycopg2
import verify
from plan import LOAD_MS, SESSION_MS, Step

from stand import events, process, rollups, sitewatch

SETTLE_S = 60.0

# What the tests' database refuses, and a note of every offset that moves back.
PLANTED = f"""
ALTER TABLE checks ADD CONSTRAINT checks_planted CHECK (error_message <> '{load.REFUSED.replace("'", "''")}');
CREATE TABLE moves_back (topic text, partition integer, was bigint, became bigint);
CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO moves_back VALUES (old.topic, old.partition, old.next_offset, new.next_offset);
    RETURN NULL;
END $$;
CREATE TRIGGER note_move AFTER UPDATE ON kafka_offsets FOR EACH ROW
    WHEN (new.next_offset < old.next_offset) EXECUTE FUNCTION note_move();
"""


class Failed(Exception):
    """What is wrong after a round, one line each."""


class Stage:
    def __init__(self, kafka, postgres, plan, logs):
        self.kafka, self.postgres, self.plan = kafka, postgres, plan
        self.id = f"{plan.seed}_{time.time_ns() % 10**9}"
        self.logs = pathlib.Path(logs) / str(plan.seed)
        self.database = f"fault_{self.id}"
        self.success, self.failure = f"success-{self.id}", f"failure-{self.id}"
        self.dead_letters = f"dead-letter-{self.id}"
        self.env = {
            "POSTGRES_DSN": postgres.dsn(self.database),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "KAFKA_TOPIC_SUCCESS": self.success,
            "KAFKA_TOPIC_FAILURE": self.failure,
            "KAFKA_TOPIC_DEAD_LETTER": self.dead_letters,
            "KAFKA_GROUP": f"group-{self.id}",
            "KAFKA_PROPERTIES": f"session.timeout.ms={SESSION_MS};heartbeat.interval.ms=300;"
                                "reconnect.backoff.max.ms=500",
            "LISTEN": "127.0.0.1:0",
            "ROLLUP_DELAY_SECONDS": "0",
        }
        self.over = threading.Event()        # nothing is started or broken any more
        self.took = collections.Counter()    # paths and faults -> how often
        self.members = {}
        self.load = None

    def consumer_args(self):
        return ["--workers", self.plan.workers, "--batch-rows", self.plan.batch_rows,
                "--batch-ms", self.plan.batch_ms, "--drain-seconds", 5]

    def query(self, sql, *values):
        return self.postgres.query(self.database, sql, *values)

    # ---- the round ----

    def prepare(self):
        self.logs.mkdir(parents=True)
        for topic in (self.success, self.failure):
            self.kafka.create_topic(topic, self.plan.partitions)
        self.kafka.create_topic(self.dead_letters)
        targets = self.logs / "sites.conf"
        targets.write_text(load.targets(), encoding="utf-8")
        for command in (["migrate"], ["seed", targets]):
            done = sitewatch.run("consumer", *command, env=self.env)
            assert done.returncode == 0, done.stderr
        self.query(PLANTED)
        self.members = {name: members.Member(name, self) for name in ("a", "b", "c")}
        self.load = load.Load(self.kafka.bootstrap, self.success, self.failure, self.plan.seed,
                              self.plan.events_a_second)

    def run(self):
        """Raises Failed, with everything that is wrong."""
        try:
            self.prepare()
            for name in ("a", "b"):
                self.members[name].start()
            for name in ("a", "b"):
                self.members[name].program.wait_until_ready()
            self.load.start()
            self._follow_plan()
            self.load.finish()
            self._settle()
            wrong = self._end() + self._verify()
        except (AssertionError, psycopg2.Error) as error:  # of the stand: Timeout, mostly
            wrong = self._end() + [f"{type(error).__name__}: {error}"]
        finally:
            self._clean()
        if wrong:
            raise Failed("\n".join(wrong))

    def _follow_plan(self):
        began = time.monotonic()
        for step in [*self.plan.steps, Step(LOAD_MS, "end_load", "", "")]:
            while time.monotonic() - began < step.at_ms / 1000:
                for member in self.members.values():
                    member.start_when_due()
                time.sleep(0.01)
            self._take(step)

    def _take(self, step):
        if not step.what.startswith(("end_", "start")):
            self.took[f"fault {step.what}"] += 1
        member = self.members.get(step.who)
        if step.what == "start":
            member.start()
        elif step.what in ("kill", "terminate"):
            member.end(step.what)
        elif step.what == "freeze":
            member.freeze()
        elif step.what == "end_freeze":
            member.thaw()
        elif step.what == "backends":
            self._terminate_backends()
        elif step.what.startswith("end_"):
            self._servers_go_on()
        elif step.what.startswith(("broker_", "postgres_")):
            self._break_server(step.what, step.detail)
        else:
            member.arm(step.what)

    # ---- servers ----

    def _break_server(self, what, detail):
        server = self.kafka if what.startswith("broker_") else self.postgres
        if server.process.poll() is not None:
            return  # it is down already: the plan's faults may overlap
        if what == "broker_crash":
            self.kafka.stop(signal.SIGKILL if detail == "kill" else signal.SIGTERM)
        elif what == "broker_freeze":
            self.kafka.pause()
        elif what == "postgres_crash":
            self.postgres.crash()
        else:
            self.postgres.pause()

    def _servers_go_on(self):
        for server in (self.kafka, self.postgres):
            if server.process.poll() is None:
                server.go_on()
            else:
                server.start()

    def _terminate_backends(self):
        try:
            self.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                       "WHERE datname = %s AND pid <> pg_backend_pid()", self.database)
        except psycopg2.OperationalError:
            pass  # the server itself is away

    # ---- the end ----

    def _settle(self):
        """Both consumers take what is left, undisturbed."""
        for member in self.members.values():
            member.proxy.disarm()
            member.thaw()
        for name in ("a", "b"):
            self.members[name].start()
        ends = self._ends()

        def stored():
            for member in self.members.values():
                if member.expected_end is None:
                    member.reap()
            ended = [line for member in self.members.values() for line in member.wrong]
            assert not ended, "\n".join(ended)
            return all(self._offsets().get(at) == end for at, end in ends.items() if end > 0)

        try:
            process.wait_for(stored, "the consumers to store what is in the topics", SETTLE_S, 0.1)
        except process.Timeout:
            pass  # the verdict names the offsets

    def _ends(self):
        return {(topic, partition): end for topic in (self.success, self.failure)
                for partition, end in self.kafka.end_offsets(topic).items()}

    def _offsets(self):
        return {(r["topic"], r["partition"]): r["next_offset"] for r in self.query(
            "SELECT topic, partition, next_offset FROM kafka_offsets")}

    def _end(self):
        """Stop the consumers and count what they went through; what went wrong with them."""
        self.over.set()
        for member in self.members.values():
            member.end("stop")
        for member in self.members.values():
            member.reap()
            member.close()
        lives = [life for member in self.members.values() for life in member.lives]
        for what, pattern in SAID.items():
            self.took[what] += sum(len(life.has_line(pattern)) for life in lives)
        for life in lives:  # a batch that is refused says so of each of its partitions
            fenced = ("claim lost" in line for line in life.lines)
            self.took["fence lost"] += sum(1 for is_lost, _ in itertools.groupby(fenced) if is_lost)
        for member in self.members.values():
            self.took["23505, staged"] += member.proxy.errors["23505"]
            self.took["halved"] += member.proxy.halvings
        return [line for member in self.members.values() for line in member.wrong]

    def _letters_in_topic(self):
        for message in self.kafka.read(self.dead_letters):
            headers = events.headers_of(message)
            yield ((headers["dlq.topic"], int(headers["dlq.partition"]), int(headers["dlq.offset"])),
                   message.value())

    def _verify(self):
        log = verify.Log(self.kafka.read(self.success) + self.kafka.read(self.failure))
        checks = self.query("SELECT w.name, l.name AS location, c.* FROM checks c "
                            "JOIN websites w USING (website_id) JOIN locations l USING (location_id)")
        table = self.query("SELECT * FROM dead_letters")
        topic = list(self._letters_in_topic())
        states = self.query("SELECT * FROM site_state")
        incidents = self.query("SELECT * FROM incidents")
        site_incidents = self.query("SELECT * FROM site_incidents")
        failures, quorums = ({r["website_id"]: r["n"] for r in self.query(
            "SELECT website_id, coalesce((config->>%s)::int, 1) AS n FROM websites", option)}
            for option in ("failures", "quorum"))
        self.took.update({
            "events sent": self.load.sent, "rows stored": len(checks), "dead letters": len(table),
            "incidents of sites": len(site_incidents), "of these, withdrawn": sum(
                i["withdrawn"] for i in site_incidents), "of these, closed as stale": sum(
                i["closed_by"] == "stale" for i in site_incidents),
            "events sent twice": log.duplicates, "dead letters written to the topic again":
            len(topic) - len({place for place, _ in topic})})
        return (verify.acknowledged_is_in_kafka(self.load.acknowledged, log)
                + verify.stored_is_acknowledged(log, [
                    (c["name"], c["location"], c["slot"], c["attempt"]) for c in checks])
                + verify.letters_are_right(log, table, topic)
                + verify.offsets_are_ends(self._ends(), self._offsets(),
                                          self.query("SELECT * FROM moves_back"))
                + verify.state_is_what_rows_say(checks, states, incidents, failures)
                + verify.sites_are_what_locations_say(
                    states, incidents, self.query("SELECT * FROM site_overall"), site_incidents,
                    quorums)
                + self._rollups_are_what_rows_say())

    def _rollups_are_what_rows_say(self):
        """As the consumers left them, and once what is marked is put together as well."""
        left = rollups.differing(self.postgres, self.database)
        self.took["rollups put together under load"] += self.query(
            "SELECT count(*) AS n FROM rollups_1h")[0]["n"]
        rollups.put_together(self.postgres, self.database)
        return [f"rollup: {row}" for row in left + rollups.differing(self.postgres, self.database)]

    def _clean(self):
        self._servers_go_on()
        self.kafka.delete_topics(self.success, self.failure, self.dead_letters)
        self.postgres.query("postgres", f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')


# What consumers say of the paths that they took.
SAID = {
    "COMMIT in doubt, stored": 'msg="looked up a COMMIT that was not answered" outcome=stored',
    "COMMIT in doubt, lost": 'msg="looked up a COMMIT that was not answered" outcome=lost',
    "COMMIT in doubt, taken": 'msg="looked up a COMMIT that was not answered" outcome=taken',
    "outage": 'msg="cannot store, partitions are paused"',
    "partition lost": 'msg="partition lost"',
}
