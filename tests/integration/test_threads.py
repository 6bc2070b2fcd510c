"""Several loops: each site is checked by one of them, and the whole is one producer."""

import datetime
import json
import signal

import pytest

from stand import process, sites, sitewatch

SITES = 240


def targets(groups):
    return "targets = (" + ",\n".join(f"{{ {group} }}" for group in groups) + ");\n"


def by_site(pipeline):
    """The events of each site, in the order in which Kafka has them."""
    found = {}
    for topic in (pipeline.success, pipeline.failure):
        for message in pipeline.kafka.read(topic):
            event = json.loads(message.value())
            found.setdefault(event["site"]["name"], []).append(event)
    return found



def slot_ms(text):
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def test_each_slot_is_checked_once_and_a_reload_touches_the_changed_site_alone(sited, pipeline):
    def group(i, changed=False):
        url = sited.url(f"/ok?threads={pipeline.id}-{i}")
        return f'name = "site {i}"; url = "{url}"; seconds = 2;' + (' tags = ["new"];' if changed else "")

    path = pipeline.targets_file(targets(group(i) for i in range(SITES)))
    producer = pipeline.producer("--targets-file", path, "--threads", 4)
    process.wait_for(lambda: pipeline.published() >= 2 * SITES, "two rounds")
    assert sitewatch.metric_sum(producer.metrics(), "sitewatch_sites") == SITES
    path.write_text(targets(group(i, changed=i == 7) for i in range(SITES)))
    producer.signal(signal.SIGHUP)
    line = producer.wait_for_line("reloaded")
    assert f"added=0 changed=1 removed=0 unchanged={SITES - 1}" in line
    before = pipeline.published()
    process.wait_for(lambda: pipeline.published() >= before + 2 * SITES, "two rounds more")
    producer.terminate()

    found = by_site(pipeline)
    assert set(found) == {f"site {i}" for i in range(SITES)}
    ids = [event["id"] for events in found.values() for event in events]
    assert len(ids) == len(set(ids)) == sum(sited.counts(f"/ok?threads={pipeline.id}-").values())
    missed = [e for events in found.values() for e in events if e.get("error", {}).get("type") == "slot_missed"]
    assert not missed
    for name, events in found.items():
        slots = [slot_ms(event["slot"]) for event in events]
        off_grid = [slot for slot in slots if (slot - slots[0]) % 2000 != 0]
        on_grid = [slot for slot in slots if slot not in off_grid]
        assert on_grid == list(range(on_grid[0], on_grid[-1] + 1, 2000)), name
        assert len(off_grid) == (1 if name == "site 7" else 0), name


def test_once_with_threads_prints_each_site_once(sited, no_kafka, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(f'name = "site {i}"; url = "{sited.url("/ok")}"; seconds = 60;' for i in range(50)))
    done = sitewatch.run("producer", "--once", "--threads", 4, "--output", "json", "--targets-file", path,
                         env=no_kafka)
    assert done.returncode == 0, done.stderr
    names = [json.loads(line)["site"]["name"] for line in done.stdout.splitlines()]
    assert sorted(names) == sorted(f"site {i}" for i in range(50))


def test_more_threads_than_checks_in_flight_are_not_started(sited, no_kafka, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(f'name = "site {i}"; url = "{sited.url("/ok")}"; seconds = 60;' for i in range(9)))
    done = sitewatch.run("producer", "--once", "--threads", 8, "--in-flight-max", 2, "--targets-file", path,
                         env=no_kafka)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 10


@pytest.mark.own_servers
def test_four_threads_under_load_with_reloads_and_a_pause_of_kafka(sited, pipeline):
    """Good and bad sites, retries and redirects: what each loop shares with the others is in use."""
    answers = ["/ok", "/status/500", "/slow/50", "/redirect/2", "/empty", "/chunked"]
    refusing = sites.RefusingPort()
    spool = pipeline.directory / "spool.sqlite"

    def group(i, seconds):
        url = refusing.url() if i % 10 == 9 else sited.url(f"{answers[i % 6]}?load={pipeline.id}-{i}")
        more = " retries = 1; retry_seconds = 1;" if seconds > 2 and i % 3 == 0 else ""
        return f'name = "site {i}"; url = "{url}"; seconds = {seconds}; pattern = "v=(\\\\d+)";{more}'

    path = pipeline.targets_file(targets(group(i, 1) for i in range(SITES)))
    producer = pipeline.producer("--targets-file", path, "--threads", 4, "--spool-file", spool)
    for turn in range(3):
        before = pipeline.published()
        process.wait_for(lambda: pipeline.published() >= before + 2 * SITES, "two rounds")
        if turn == 1:
            pipeline.kafka.pause()
            process.wait_for(lambda: sitewatch.metric_sum(producer.metrics(), "sitewatch_spool_events") > 0,
                             "events on disk")
            pipeline.kafka.go_on()
        path.write_text(targets(group(i, 1 + (i + turn) % 3) for i in range(SITES)))
        producer.signal(signal.SIGHUP)
        producer.wait_for_line("reloaded", count=turn + 1)
    samples = producer.metrics()
    producer.terminate()
    refusing.close()
    assert sitewatch.metric_sum(samples, "sitewatch_sites") == SITES
    found = by_site(pipeline)
    assert set(found) == {f"site {i}" for i in range(SITES)}
    counted = {path: n for path, n in sited.counts("/").items() if f"load={pipeline.id}-" in path}
    for i in range(0, SITES, 6):
        if i % 10 != 9:
            ids = {e["id"] for e in found[f"site {i}"] if e.get("http")}
            assert len(ids) == counted[f"/ok?load={pipeline.id}-{i}"], i
