"""Many sites on one core: how late their checks are, how long a start and a reload take, what a site costs.

SCALE names the runs, each as sites:interval_s:seconds, with commas between. With SCALE_ASSERT_TIMES the
limits of LIMITS are asserted, and the producer has a core to itself; else only that nothing is lost or disturbed.
Lag is the producer's own: what the machine makes a bare timer thread wait on the same core is granted.
Meanwhile /metrics is read every 5 s, with the series of all sites (of 100,000 at the most).
`make scale` does the large runs.
"""

import collections
import json
import os
import signal
import subprocess
import time

import pytest

from stand import process, sitewatch

RUNS = [tuple(map(int, run.split(":"))) for run in os.environ.get("SCALE", "400:5:12").split(",")]
ASSERT_TIMES = os.environ.get("SCALE_ASSERT_TIMES") == "1"
TIMEOUT_S = 2
SHARED_HEADERS = '[ "Accept-Language: en", "X-Checked-By: sitewatch scale test", "Cache-Control: no-cache" ]'
MANY = 100_000  # from here on the limits of a million sites hold
SCRAPE_EVERY_S, SCRAPE_S = 5, 1

Limit = collections.namedtuple("Limit", "start_s reload_s lag_p99_us lag_p999_us bytes_a_site")
FEW = Limit(5, 1, 10_000, 100_000, None)
LIMITS = {False: FEW, True: Limit(30, 30, 10_000, None, 1024)}

ERRORS = {"/ok": {None}, "/slow/60000": {"timeout"}, "/reset": {"read_failure", "empty_reply"}}

rows = []


@pytest.fixture(scope="module", autouse=True)
def apart():
    """The stand and the test itself leave the first core to the producer. Before the servers start."""
    cores = os.sched_getaffinity(0)
    if ASSERT_TIMES and len(cores) > 1:
        os.sched_setaffinity(0, cores - {min(cores)})
    yield {min(cores)}
    os.sched_setaffinity(0, cores)


@pytest.fixture(scope="module", autouse=True)
def table():
    """One table of all runs, when the last is over."""
    yield
    if rows:
        for cells in zip(*rows):  # a column a run: there are more figures than runs
            print("\n" + cells[0].ljust(16) + "".join(str(cell).rjust(14) for cell in cells[1:]), end="")
        print()


def path_of(number):
    """5 % time out, 1 % are reset."""
    return "/slow/60000" if number % 20 == 7 else "/reset" if number % 100 == 1 else "/ok"


def write_sites(path, sited, count, interval_s, changed=None):
    """The bytes of the sites' own texts."""
    own = 0
    with path.open("w", encoding="utf-8") as out:
        out.write(f"defaults = {{ seconds = {interval_s}; timeout_ms = {TIMEOUT_S * 1000}; "
                  f"headers = {SHARED_HEADERS}; }};\ntargets = (\n")
        for number in range(count):
            name = f"site-{number:07}"
            url = sited.url(f"{path_of(number)}?scale={number % 1000}")
            pattern = "v=(\\\\d+)" if number != changed else "v=(\\\\w+)"
            own += len(name) + len(url) + len(pattern)
            out.write(f'{"," if number else " "}{{ name = "{name}"; url = "{url}"; pattern = "{pattern}"; }}\n')
        out.write(");\n")
    return own


def on(cores, start):
    """Started there: a program has its first thread's cores, and its threads have too."""
    own = os.sched_getaffinity(0)
    if ASSERT_TIMES:
        os.sched_setaffinity(0, cores)
    try:
        return start()
    finally:
        os.sched_setaffinity(0, own)


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def scrape_until(producer, until):
    """How long each reading of /metrics took."""
    took = []
    while time.monotonic() < until:
        began = time.monotonic()
        status, text = producer.get("/metrics")
        took.append(time.monotonic() - began)
        assert status == 200 and text.endswith("# EOF\n")
        time.sleep(max(0.0, min(began + SCRAPE_EVERY_S, until) - time.monotonic()))
    return took


def quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


def read_events(pipeline):
    found = []
    for topic in (pipeline.success, pipeline.failure):
        for message in pipeline.kafka.read(topic, seconds=180):
            event = json.loads(message.value())
            found.append((event["site"]["name"], event["slot"], event["time"], event["lag_us"], event["status"],
                          event.get("error", {}).get("type")))
    return found


def milliseconds(text):
    """Of a time of today: enough to take one from another."""
    hours, minutes, seconds = text[11:-1].split(":")
    return round(((int(hours) * 60 + int(minutes)) * 60 + float(seconds)) * 1000)


def check_slots(found, count, interval_s, changed):
    """Each site that was left alone was checked at each of its slots, and once."""
    slots = collections.defaultdict(list)
    for name, slot, *_ in found:
        slots[name].append(milliseconds(slot) % 86_400_000)
    assert len(slots) == count
    for name, times in slots.items():
        times.sort()
        gaps = {(after - before) % 86_400_000 for before, after in zip(times, times[1:])}
        if name != f"site-{changed:07}":
            assert gaps <= {interval_s * 1000}, f"{name}: {times}"


def lag_of(found, begin="", end="~"):
    return sorted(lag_us for _, _, at, lag_us, *_ in found if begin <= at <= end)


@pytest.mark.parametrize("count, interval_s, seconds", RUNS)
def test_many_sites_on_one_core(pipeline, sited, apart, count, interval_s, seconds):
    limit = LIMITS[count >= MANY]
    changed = count // 2
    path = pipeline.directory / "sites.conf"
    write_sites(path, sited, 1, interval_s)
    alone = pipeline.producer("--targets-file", path)
    alone.wait_for_line("msg=checking")
    alone_bytes = resident_bytes(alone.pid)
    alone.terminate()

    own_bytes = write_sites(path, sited, count, interval_s)
    timer = on(apart, lambda: process.start([process.stand_program("timerlag")], stdout=subprocess.PIPE, text=True))
    began = time.monotonic()
    producer = on(apart, lambda: pipeline.producer("--targets-file", path))
    producer.wait_for_line("msg=checking", 120)
    start_s = time.monotonic() - began
    scrapes = scrape_until(producer, began + seconds / 2)

    write_sites(path, sited, count, interval_s, changed)
    hup_at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    began_reload = time.monotonic()
    producer.signal(signal.SIGHUP)
    line = producer.wait_for_line("msg=reloaded", 120)
    reload_s = time.monotonic() - began_reload
    done_at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1))
    assert f"added=0 changed=1 removed=0 unchanged={count - 1}" in line
    scrapes += scrape_until(producer, began + seconds)

    site_bytes = (resident_bytes(producer.pid) - alone_bytes - own_bytes) / count
    measured = producer.metrics()
    producer.terminate()
    timer.terminate()
    timer_lag = json.loads(timer.communicate(timeout=10)[0])
    found = read_events(pipeline)
    lag, reload_lag = lag_of(found), lag_of(found, hup_at, done_at)
    assert sitewatch.metric_sum(measured, "sitewatch_slots_missed_total") == 0 or not ASSERT_TIMES
    for path_there, errors in ERRORS.items():
        assert {error for name, *_, error in found if path_of(int(name[-7:])) == path_there} <= errors
    if interval_s * 2 < seconds:
        check_slots(found, count, interval_s, changed)
    if not rows:
        rows.append(("sites", "every s", "for s", "checks", "start s", "SIGHUP s", "lag ms p50", "p99", "p99.9",
                     "max", "in SIGHUP p99", "timer p99", "p99.9", "B a site", "scrape s max"))
    rows.append((count, interval_s, seconds, len(found), f"{start_s:.2f}", f"{reload_s:.2f}",
                 *(f"{quantile(lag, q) / 1000:.2f}" for q in (0.5, 0.99, 0.999, 1)),
                 f"{quantile(reload_lag, 0.99) / 1000:.2f}", f"{timer_lag['p99'] / 1000:.2f}",
                 f"{timer_lag['p999'] / 1000:.2f}", f"{site_bytes:.0f}" if count >= MANY else "-", f"{max(scrapes):.2f}"))
    if ASSERT_TIMES:
        assert start_s < limit.start_s and reload_s < limit.reload_s
        # After a pause of the machine the checks of that time are late as well: a step of rank is granted.
        assert quantile(lag, 0.99) < limit.lag_p99_us + timer_lag["p999"]
        assert limit.lag_p999_us is None or quantile(lag, 0.999) < limit.lag_p999_us + timer_lag["max"]
        assert max(scrapes) < SCRAPE_S
        assert limit.bytes_a_site is None or site_bytes <= limit.bytes_a_site
