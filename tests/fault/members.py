"""The consumers of a round. Each has a slot (a, b, and c that joins later), a proxy of its own
before Postgres, and one life after another."""

import re
import signal
import time

import psycopg2

from stand import pgproxy, process, sitewatch

CLAIMED = re.compile(r'msg="partition claimed".* topic=(\S+) partition=(\d+) .*epoch=(\d+)')
START_AFTER_S = 0.3
TAKEN_OVER_S = 8.0  # a group needs its session timeout and a rebalance
CLAIMS_WAITING = ("SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                  "AND query LIKE 'INSERT INTO kafka_offsets%'")

# Exit statuses by the end that was asked for. 1: what was held could not be stored in time, which
# is said, and it is read again.
STATUSES = {"kill": (-signal.SIGKILL,), "terminate": (0, 1), "stop": (0,)}


class Member:
    def __init__(self, name, stage):
        self.name = name
        self.stage = stage
        self.proxy = pgproxy.PgProxy(stage.postgres.port)
        self.logs = stage.logs / name
        self.logs.mkdir(parents=True)
        self.lives = []
        self.expected_end = None  # "kill" or "terminate" or "stop", when we asked for it
        self.start_at = None      # when to start it after a hook has killed it
        self.wrong = []           # what it did that nobody asked for

    @property
    def program(self):
        return self.lives[-1] if self.lives else None

    def is_running(self):
        return self.program is not None and self.program.process.poll() is None

    def start(self):
        """From the main thread: a child dies with the thread that made it (PR_SET_PDEATHSIG)."""
        if self.is_running() and self.expected_end is None:
            return
        self.reap()
        dsn = f"{self.stage.postgres.dsn(self.stage.database)} sslmode=disable gssencmode=disable"
        dsn = dsn.replace(f"port={self.stage.postgres.port}", f"port={self.proxy.port}")
        self.lives.append(sitewatch.Program(
            "consumer", self.stage.consumer_args(), {**self.stage.env, "POSTGRES_DSN": dsn},
            self.logs, len(self.lives)))
        self.expected_end = self.start_at = None

    def start_when_due(self):
        if self.start_at is not None and time.monotonic() >= self.start_at:
            self.start()

    def end(self, how):
        if self.is_running() and (self.expected_end is None or how == "kill"):
            if how != "kill":  # before that line SIGTERM is not caught yet
                self.program.wait_for_line(sitewatch.ADMIN)
            self.expected_end = how
            self.program.signal(signal.SIGKILL if how == "kill" else signal.SIGTERM)

    def freeze(self):
        if self.is_running():
            self.program.signal(signal.SIGSTOP)

    def thaw(self):
        if self.is_running():
            self.program.signal(signal.SIGCONT)

    def reap(self):
        """Wait for the end that was asked for, and note an end that was not."""
        if self.program is None:
            return
        is_running = self.is_running()  # looked at first: a hook says what it expects, then kills
        if self.expected_end is not None:
            self.thaw()
            try:
                status = self.program.wait(40)
            except process.Timeout as error:
                self.wrong.append(str(error))
                self.program.kill()
                return
            if status not in STATUSES[self.expected_end]:
                self.wrong.append(f"{self.name} ended with {status}, asked to {self.expected_end}")
        elif not is_running:
            last = "\n".join(self.program.lines[-3:])
            self.wrong.append(f"{self.name} ended by itself with {self.program.wait()}:\n{last}")

    def close(self):
        for life in self.lives:
            life.close()
            self.wrong += [f"{self.name}: {report}" for report in life.reports()]
        self.proxy.close()

    # ---- hooks of the proxy ----

    def _claims(self):
        """(topic, partition) -> epoch, as this life logged them."""
        found = {}
        for line in list(self.program.lines):
            match = CLAIMED.search(line)
            if match:
                found[match.group(1), int(match.group(2))] = int(match.group(3))
        return found

    def _is_taken_over(self):
        now = {(r["topic"], r["partition"]): r["epoch"] for r in self.stage.query(
            "SELECT topic, partition, epoch FROM kafka_offsets")}
        return all(now.get(place, 0) > epoch for place, epoch in self._claims().items())

    def _sleep_until(self, condition):
        """The consumer is stopped until `condition`, or until nobody makes it true."""
        self.freeze()
        deadline = time.monotonic() + TAKEN_OVER_S
        met = False
        while not met and time.monotonic() < deadline and not self.stage.over.is_set():
            time.sleep(0.05)
            try:
                met = condition()
            except psycopg2.Error:  # Postgres is being restarted, too
                pass
        self.thaw()
        return met

    def arm(self, fault):
        def zombie_at_fence():
            if self._sleep_until(self._is_taken_over):
                self.stage.took["a zombie at the fence"] += 1
            return pgproxy.PASS

        def zombie_at_commit():
            if self._sleep_until(lambda: self.stage.query(CLAIMS_WAITING)[0]["n"] > 0):
                self.stage.took["a zombie at COMMIT, its rows locked"] += 1
            return pgproxy.PASS

        def cut(verdict, what):
            self.stage.took[what] += 1
            return verdict

        def kill():
            self.end("kill")
            self.stage.took["killed between dead letter and COMMIT"] += 1
            self.start_at = time.monotonic() + START_AFTER_S
            return pgproxy.CUT

        point, hook = {
            "zombie_at_fence": (pgproxy.FENCE, zombie_at_fence),
            "zombie_at_commit": (pgproxy.COMMIT, zombie_at_commit),
            "cut_before_commit": (pgproxy.COMMIT, lambda: cut(pgproxy.CUT, "cut before COMMIT")),
            "cut_after_commit": (pgproxy.COMMIT, lambda: cut(pgproxy.CUT_ANSWER, "cut after COMMIT")),
            "kill_before_commit": (pgproxy.LETTER, kill),
        }[fault]
        self.proxy.arm(point, hook)
