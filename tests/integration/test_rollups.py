"""Rollups through the whole consumer: with Postgres and a consumer taken away in between."""

import datetime
import random

import pytest

from stand import events, process, rollups, sitewatch


def send(pipeline, rng, count):
    """Checks of the last day but this hour; late ones, and some that were sent before."""
    hour = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    messages = []
    for _ in range(count):
        slot = hour - datetime.timedelta(hours=rng.randint(1, 5), seconds=-30 * rng.randint(0, 40))
        name = f"site-{rng.randint(1, 4)}"
        total = int(rng.lognormvariate(11, 1))
        messages.append({"key": name, "value": events.encode(events.make(
            name, slot, timing_us={"total": total}, status=rng.choice(["up", "up", "degraded"])))})
    pipeline.kafka.produce(pipeline.success, messages)


@pytest.mark.own_servers
def test_rollups_are_what_the_rows_say_when_postgres_and_a_consumer_go_away(pipeline):
    rng = random.Random(5)
    env = {"ROLLUP_DELAY_SECONDS": "0"}
    first = pipeline.consumer(**env).wait_until_ready()
    send(pipeline, rng, 300)
    pipeline.wait_for_rows(1, "rollups_1h")
    first.kill()
    second = pipeline.consumer(**env).wait_until_ready(60)
    send(pipeline, rng, 300)
    assert not rollups.differing(pipeline.postgres, pipeline.database)
    pipeline.postgres.crash()
    second.wait_for_line("rollups wait")
    pipeline.postgres.start()
    second.wait_for_line("rollups go on", 60)
    send(pipeline, rng, 300)
    pipeline.wait_until_stored()
    process.wait_for(lambda: pipeline.count("rollup_marks") + pipeline.count("rollup_stale_hours") == 0,
                     "the hours to be put together", 60, 0.2)
    assert not rollups.differing(pipeline.postgres, pipeline.database)
    rollups.put_together(pipeline.postgres, pipeline.database)
    assert not rollups.differing(pipeline.postgres, pipeline.database)
    counted = pipeline.query("SELECT sum(up + degraded) AS n FROM rollups_1d")[0]["n"]
    assert counted == pipeline.count() > 100
    samples = second.metrics()
    assert samples['sitewatch_rollups_total{step="hour"}'] > 0
    assert samples["sitewatch_rollup_seconds_count"] > 0
    second.terminate()


def test_a_rollup_that_was_tampered_with_is_found(pipeline):
    assert pipeline.consumer("migrate").wait() == 0
    pipeline.query("SELECT checks_make_day((now() AT TIME ZONE 'UTC')::date - 1)")
    pipeline.query(
        "INSERT INTO checks (website_id, slot, checked_at, lag_us, response_time_us, location_id, "
        "attempt, http_status, final, status, observer) SELECT 1, day_of(now()) - i * interval '1 min', "
        "now(), 0, i * 1000, 1, 1, 200, true, 'up', 'h' FROM generate_series(1, 90) i")
    missing = rollups.differing(pipeline.postgres, pipeline.database)
    assert [r["step"] for r in missing] == ["day", "hour", "hour"]
    pipeline.query("INSERT INTO rollup_marks SELECT '{1,1}', '{1,1}', ARRAY[h - 1, h - 2] "
                   "FROM (SELECT extract(epoch FROM day_of(now()))::bigint / 3600) AS d (h)")
    assert not rollups.differing(pipeline.postgres, pipeline.database)
    rollups.put_together(pipeline.postgres, pipeline.database)
    assert not rollups.differing(pipeline.postgres, pipeline.database)
    for change in ("up = up + 1", "histogram = '{1,60}'", "http_statuses = '{}'",
                   "response_max_us = 1", "begins = begins - interval '5 hours'"):
        pipeline.query(f"UPDATE rollups_1h SET {change} WHERE up = 60")
        assert rollups.differing(pipeline.postgres, pipeline.database), change
        pipeline.query("DELETE FROM rollups_1h")
        pipeline.query("INSERT INTO rollup_marks SELECT '{1,1}', '{1,1}', ARRAY[h - 1, h - 2] "
                       "FROM (SELECT extract(epoch FROM day_of(now()))::bigint / 3600) AS d (h)")
        rollups.put_together(pipeline.postgres, pipeline.database)
    assert not rollups.differing(pipeline.postgres, pipeline.database)


@pytest.mark.parametrize(("days", "checks_days"), [("100", "10"), ("10", "100")])
def test_rollups_go_by_their_own_retention_but_not_before_their_checks(pipeline, days, checks_days):
    assert pipeline.consumer("migrate").wait() == 0
    for table in ("rollups_1h", "rollups_1d"):
        pipeline.query(f"INSERT INTO {table} SELECT 1, day_of(now()) - age * interval '24 hours', 0, NULL, NULL, 1, 0, 1, 0, 0,"
                       " 0, 0, 0, '{}', '{}' FROM unnest('{50,200}'::integer[]) age RETURNING 1")
    consumer = pipeline.consumer(ROLLUP_RETENTION_DAYS=days, RETENTION_DAYS=checks_days).wait_until_ready()

    def left():
        return [sorted(row["age"] for row in pipeline.query(
            f"SELECT (extract(epoch FROM day_of(now()) - begins) / 86400)::integer AS age FROM {table}"))
            for table in ("rollups_1h", "rollups_1d")]

    process.wait_for(lambda: left() == [[50], [50]] and sitewatch.metric_sum(
        consumer.metrics(), "sitewatch_rollups_deleted_total") == 2, "what is past its retention to go")
    consumer.terminate()
