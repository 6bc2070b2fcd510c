"""Of the harness itself: plans are what their seeds say, what is wrong is seen, patches apply."""

import collections
import copy
import datetime
import pathlib
import subprocess
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[i]) for i in (0, 1)]

import load  # noqa: E402
import plan  # noqa: E402
import verify  # noqa: E402

from stand import events, process  # noqa: E402

SLOT = datetime.datetime(2026, 11, 21, 8, 0, tzinfo=datetime.timezone.utc)


def test_a_plan_is_a_function_of_its_seed():
    assert [plan.make(seed) for seed in range(50)] == [plan.make(seed) for seed in range(50)]
    assert plan.make(1) != plan.make(2)


def test_a_plan_ends_what_it_begins():
    for seed in range(200):
        said = collections.Counter(step.what for step in plan.make(seed).steps)
        assert [step.at_ms for step in plan.make(seed).steps] == sorted(
            step.at_ms for step in plan.make(seed).steps)
        for fault in ("freeze", "postgres_crash", "postgres_freeze", "broker_crash", "broker_freeze"):
            assert said[fault] == said[f"end_{fault}"]


def test_a_hundred_rounds_hold_every_fault_often():
    said = collections.Counter(step.what for seed in range(1, 101) for step in plan.make(seed).steps)
    said["join"] = said["start"]
    assert not {fault: said[fault] for fault in plan.FAULTS if said[fault] < 12}


# ---- what is wrong is seen ----

class Message:
    def __init__(self, offset, kind, value, number):
        self.place = "success", 0, offset
        self.told = [("n", str(number).encode()), ("kind", kind)]
        self.payload = value

    def topic(self):
        return self.place[0]

    def partition(self):
        return self.place[1]

    def offset(self):
        return self.place[2]

    def headers(self):
        return self.told

    def value(self):
        return self.payload


def slot(second):
    return SLOT + datetime.timedelta(seconds=second)


def check(second, status, attempt=1, final=True):
    return {"website_id": 1, "location_id": 1, "name": "s", "location": "elsewhere",
            "slot": slot(second), "attempt": attempt, "final": final, "status": status,
            "error_type": None if status == "up" else "timeout",
            "error_message": None if status == "up" else f"at {second}"}


class World:
    """What is right; each test breaks one thing in it."""

    def __init__(self):
        statuses = ("up", "down", "down", "unknown", "down", "up")
        self.acknowledged = set(range(8))
        self.messages = [Message(i, load.GOOD, events.encode(events.make("s", slot(i))), i)
                         for i in range(6)]
        self.messages += [Message(6, load.POISON, b"no JSON", 6), Message(7, load.REFUSE, b"{}", 7)]
        self.checks = [check(i, status) for i, status in enumerate(statuses)]
        self.table = [{"topic": "success", "partition": 0, "offset": 6, "reason": "json"},
                      {"topic": "success", "partition": 0, "offset": 7, "reason": "sqlstate_23514"}]
        self.topic = [(("success", 0, 6), b"no JSON"), (("success", 0, 7), b"other words")]
        self.ends = {("success", 0): 8, ("success", 1): 0}
        self.stored = {("success", 0): 8}
        self.moves_back = []
        self.states = [{"website_id": 1, "location_id": 1, "status": "up", "since": slot(5),
                        "last_slot": slot(5), "failures_in_a_row": 0, "incident_slot": None,
                        "silent_slot": None}]
        self.incidents = [{"website_id": 1, "location_id": 1, "opened_slot": slot(2),
                           "closed_slot": slot(5), "checks": 3, "error_type": "timeout",
                           "error_message": "at 2", "withdrawn": False}]
        self.overall = [{"website_id": 1, "incident_slot": None}]
        self.site_incidents = [{"website_id": 1, "opened_slot": slot(2), "closed_slot": slot(5),
                                "closed_by": "up", "location_ids": [1], "withdrawn": False,
                                "error_type": "timeout", "error_message": "at 2"}]
        self.quorums = {}

    def wrong(self):
        log = verify.Log(self.messages)
        return (verify.acknowledged_is_in_kafka(self.acknowledged, log)
                + verify.stored_is_acknowledged(log, [
                    (c["name"], c["location"], c["slot"], c["attempt"]) for c in self.checks])
                + verify.letters_are_right(log, self.table, self.topic)
                + verify.offsets_are_ends(self.ends, self.stored, self.moves_back)
                + verify.state_is_what_rows_say(self.checks, self.states, self.incidents, {1: 2})
                + verify.sites_are_what_locations_say(self.states, self.incidents, self.overall,
                                                      self.site_incidents, self.quorums))


def withdrawn_too(world):
    world.incidents.append({**world.incidents[0], "opened_slot": slot(1), "withdrawn": True})


def quorum_of_two(world):
    world.quorums[1] = 2
    world.site_incidents.clear()


def topic_twice(world):
    world.topic.append(world.topic[0])


def sent_twice(world):
    again = copy.copy(world.messages[0])
    again.place = "success", 1, 0
    world.messages.append(again)
    world.ends["success", 1] = world.stored["success", 1] = 1


@pytest.mark.parametrize("allowed", [
    lambda world: None, withdrawn_too, quorum_of_two, topic_twice, sent_twice])
def test_what_is_right_is_not_called_wrong(allowed):
    world = World()
    allowed(world)
    assert not world.wrong()


BROKEN = {
    "Kafka has lost an event": lambda w: w.acknowledged.add(99),
    "a check is not stored": lambda w: w.checks.pop(0),
    "a check is stored twice": lambda w: w.checks.append(w.checks[0]),
    "a check was never sent": lambda w: w.checks.append(check(77, "up")),
    "a letter is not in the table": lambda w: w.table.pop(0),
    "a letter is in the table twice": lambda w: w.table.append(w.table[0]),
    "a letter is not in the topic": lambda w: w.topic.pop(),
    "a good message is a letter": lambda w: w.table.append({**w.table[0], "offset": 1}),
    "a letter's bytes are changed": lambda w: w.topic.append((("success", 0, 6), b"no json")),
    "a poison was refused by Postgres": lambda w: w.table[0].update(reason="sqlstate_22021"),
    "an offset is behind": lambda w: w.stored.update({("success", 0): 7}),
    "an offset is beyond": lambda w: w.stored.update({("success", 0): 9}),
    "an offset moved back": lambda w: w.moves_back.append({"was": 8, "became": 7}),
    "a state's status": lambda w: w.states[0].update(status="down"),
    "a state's since": lambda w: w.states[0].update(since=slot(4)),
    "a state's row of failures": lambda w: w.states[0].update(failures_in_a_row=1),
    "a state is missing": lambda w: w.states.clear(),
    "a state without rows": lambda w: w.states.append({**w.states[0], "website_id": 2}),
    "an incident is missing": lambda w: w.incidents.clear(),
    "an incident is withdrawn": lambda w: w.incidents[0].update(withdrawn=True),
    "an incident is still open": lambda w: w.incidents[0].update(closed_slot=None),
    "an incident's number of checks": lambda w: w.incidents[0].update(checks=2),
    "an incident's cause": lambda w: w.incidents[0].update(error_message="at 4"),
    "a site's incident is missing": lambda w: w.site_incidents.clear(),
    "a site's incident is withdrawn": lambda w: w.site_incidents[0].update(withdrawn=True),
    "a site's incident without a quorum": lambda w: w.quorums.update({1: 2}),
    "a site's incident of no location": lambda w: w.site_incidents[0].update(location_ids=[]),
    "a site's incident is still open": lambda w: w.overall[0].update(incident_slot=slot(2)),
    "a site's incident closed by silence": lambda w: w.site_incidents[0].update(closed_by="stale"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_is_seen(what):
    world = World()
    BROKEN[what](world)
    assert world.wrong()


def test_only_the_first_final_attempt_of_a_slot_counts():
    world = World()
    world.checks += [check(5, "down", attempt=2), check(6, "down", final=False)]
    world.messages += [
        Message(8, load.GOOD, events.encode(events.make("s", slot(5), attempt=2)), 1),
        Message(9, load.GOOD, events.encode(events.make("s", slot(6))), 2)]
    world.ends["success", 0] = world.stored["success", 0] = 10
    assert not world.wrong()


# ---- mutants ----

MUTANTS = sorted((pathlib.Path(__file__).parent / "mutants").glob("*.patch"))


@pytest.mark.parametrize("patch", MUTANTS, ids=[p.stem for p in MUTANTS])
def test_the_patch_of_a_mutant_applies(patch):
    done = subprocess.run(["patch", "--dry-run", "--force", "--fuzz=0", "-p1", "-i", patch],
                          cwd=process.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_mutants():
    assert len(MUTANTS) >= 2
