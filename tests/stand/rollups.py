"""Whether rollups are what the rows say (rollups.sql), asked of a Postgres of the stand."""

import pathlib

from . import process

CHECK = pathlib.Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


def differing(postgres, database):
    """Rows of rollups.sql: none unless a rollup is wrong. Holds at any moment, under any load."""
    return postgres.query(database, CHECK)


def turn(postgres, database, keys=500):
    """Put rollups together as a consumer does, hours that are not over included; under load this
    races with batches. Tells whether there was nothing to do; None: a consumer was at it."""
    done = postgres.query(database, "SELECT * FROM rollups_turn(%s, '0', 'infinity')", keys)[0]
    return None if done["marks"] is None else not any(done.values())


def put_together(postgres, database, seconds=60.0):
    """Until nothing is stale; meant for when nobody stores any more."""
    process.wait_for(lambda: turn(postgres, database), "rollups to be put together", seconds, 0.01)
