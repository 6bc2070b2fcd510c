"""What happens in a round, and when: a pure function of the seed.

A fault is what a round can do to the programs and servers; a plan is a list of steps in order of
time, of which some arm a hook of the proxy (tests/stand/pgproxy.py) and wait for its moment.
"""

import random
from typing import NamedTuple

LOAD_MS = 5000
SESSION_MS = 1500  # a consumer that is silent for longer loses its partitions

# name: how often it is drawn, beside the others.
FAULTS = {
    "kill": 3,            # kill -9 of a consumer, and a start
    "terminate": 2,       # SIGTERM, and a start
    "join": 2,            # a third consumer comes, and is killed or terminated later
    "freeze": 2,          # SIGSTOP for longer than the session
    "zombie_at_fence": 4,   # the same, in the middle of a batch: before its first statement
    "zombie_at_commit": 2,  # and before its COMMIT, with rows locked
    "cut_before_commit": 3,  # the connection is cut, and the COMMIT never sent
    "cut_after_commit": 3,   # it was done, and the answer is lost
    "kill_before_commit": 3,  # kill -9 between the dead letters' delivery and the COMMIT
    "postgres_crash": 2,  # immediate stop, and a start
    "postgres_freeze": 1,  # SIGSTOP of all its processes
    "backends": 2,        # pg_terminate_backend of every connection
    "broker_crash": 1,    # kill -9 or SIGTERM, and a start
    "broker_freeze": 1,   # SIGSTOP
}
FAULTS_A_ROUND = (4, 6)
MEMBERS = ("a", "b")


class Step(NamedTuple):
    at_ms: int
    what: str     # a fault, or "end_" and the fault that it ends
    who: str      # "a", "b", "c" or ""
    detail: str   # "kill", "terminate" or ""


class Plan(NamedTuple):
    seed: int
    partitions: int
    workers: int
    batch_rows: int
    batch_ms: int
    events_a_second: int
    steps: list


def _draw(rng):
    """Different faults of one round."""
    left = dict(FAULTS)
    drawn = []
    for _ in range(rng.randint(*FAULTS_A_ROUND)):
        drawn.append(rng.choices(list(left), list(left.values()))[0])
        del left[drawn[-1]]
    return drawn


def _steps_of(rng, fault, at_ms):
    who = rng.choice(MEMBERS)
    detail = rng.choice(("kill", "terminate"))
    after_ms = rng.randint(100, 1200)
    longer_ms = SESSION_MS + rng.randint(500, 1500)
    if fault in ("kill", "terminate"):
        return [Step(at_ms, fault, who, fault), Step(at_ms + after_ms, "start", who, "")]
    if fault == "kill_before_commit":
        return [Step(at_ms, fault, who, "")]  # whoever dies of it is started then
    if fault == "join":
        return [Step(at_ms, "start", "c", ""), Step(at_ms + longer_ms, detail, "c", detail)]
    if fault == "freeze":
        return [Step(at_ms, fault, who, ""), Step(at_ms + longer_ms, "end_freeze", who, "")]
    if fault in ("postgres_crash", "postgres_freeze", "broker_crash", "broker_freeze"):
        return [Step(at_ms, fault, "", detail), Step(at_ms + after_ms, f"end_{fault}", "", "")]
    return [Step(at_ms, fault, who, "")]


def make(seed):
    rng = random.Random(seed)
    steps = []
    partitions = rng.randint(2, 4)
    workers = rng.choice((1, 1, 2))
    batch_rows = rng.choice((50, 200, 1000))
    batch_ms = rng.choice((20, 50, 100))
    for fault in _draw(rng):
        steps += _steps_of(rng, fault, rng.randint(200, LOAD_MS * 4 // 5))
    return Plan(seed=seed, partitions=partitions, workers=workers, batch_rows=batch_rows,
                batch_ms=batch_ms, events_a_second=rng.choice((100, 200, 300)),
                steps=sorted(steps))
