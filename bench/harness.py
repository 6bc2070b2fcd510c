"""What the benches share: rounds, processor time, medians and ratios, results as JSON and tables.

A section of a bench is a set of contenders that do the same work. Each round runs every contender
once, in an order that rotates from round to round, so that what the machine does meanwhile hits
all of them alike; a ratio is made of two results of one round, and its median and spread are over
the rounds. Results go to build/bench/SECTION.json; bench/report makes tables and pictures of them.

    BENCH_QUICK    1: fewer and shorter rounds, to see that everything runs
    BENCH_ROUNDS   how many (5; 2 when quick)
    BENCH_SECONDS  how long each measures (4; 2 when quick)
    BENCH_TRIES    how often a run is made at the most that other programs disturb (3; 1 when quick)
"""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

RESULTS = ROOT / "build" / "bench"
QUICK = os.environ.get("BENCH_QUICK", "") not in ("", "0")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2" if QUICK else "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "2" if QUICK else "4"))
TICKS = os.sysconf("SC_CLK_TCK")
# Cores that other programs may take while a contender runs.
FOREIGN_MAX = float(os.environ.get("BENCH_FOREIGN_MAX", "0.1"))
TRIES = int(os.environ.get("BENCH_TRIES", "1" if QUICK else "3"))


# ---- a network, cores, and what a process costs ----

def enter_own_network():
    """Start this program again in a network namespace where there is loopback alone: no firewall
    that tracks connections, all source ports, and nobody outside who could reach the servers."""
    if os.environ.get("BENCH_NETNS") == "1":
        return
    if os.geteuid() != 0:
        sys.exit("this bench makes a network namespace of its own, for which it needs root")
    prepare = ("ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range='1024 65535' && "
               'exec "$@"')
    os.execvpe("unshare", ["unshare", "--net", "sh", "-c", prepare, "sh", sys.executable, "-B",
                           *sys.argv], {**os.environ, "BENCH_NETNS": "1"})


@contextlib.contextmanager
def pinned(core):
    """What is started inside runs on this core, and so do its threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(core, max(before))})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tree(pid):
    """The process and all its descendants."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


def cpu_seconds(pid):
    """Of a process and its descendants, to the nanosecond: their own clocks, as the ticks of
    /proc/PID/stat are too coarse for a few seconds. Threads that ended are in it."""
    total = 0.0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~each << 3) | 2)
    return total


def ended_seconds(pid):
    """Processor time of the children that a process, or a descendant of it, has waited for."""
    total = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[13]) + int(fields[14])
    return total / TICKS


def memory_mb(pid, peak=False):
    """Resident memory of a process and its descendants, or the most there has been of it."""
    field, total = "VmHWM:" if peak else "VmRSS:", 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{each}/status").read_text().splitlines():
                if line.startswith(field):
                    total += int(line.split()[1])
    return total / 1024


class Foreign:
    """How much of the machine other programs took, in cores, between two calls of look()."""

    def __init__(self):
        self.look()

    def look(self):
        fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        busy = sum(int(n) for i, n in enumerate(fields) if i not in (3, 4)) / TICKS
        ours = cpu_seconds(os.getpid()) + ended_seconds(os.getpid())
        now = time.monotonic()
        taken = getattr(self, "before", (busy, ours, now - 1))
        self.before = busy, ours, now
        return (busy - taken[0] - (ours - taken[1])) / (now - taken[2])


# ---- rounds ----

def undisturbed(contender, name):
    """Its metrics. When other programs took too much of the machine meanwhile it is run again, a
    few times at the most; what they took is in the metrics as `foreign`."""
    for _ in range(TRIES):
        foreign = Foreign()
        metrics = contender()
        metrics["foreign"] = foreign.look()
        if metrics["foreign"] <= FOREIGN_MAX:
            break
        print(f"  {name}: other programs took {metrics['foreign']:.2f} cores", flush=True)
    return metrics


def run_rounds(contenders, rounds=None):
    """contenders: {name: function that returns {metric: number}}. Returns {name: [metrics, ...]}
    with one entry a round."""
    names = list(contenders)
    results = {name: [] for name in names}
    for number in range(rounds or ROUNDS):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            metrics = undisturbed(contenders[name], name)
            results[name].append(metrics)
            print(f"  round {number + 1}  {name:28} "
                  + "  ".join(f"{key} {value:,.5g}" for key, value in metrics.items()), flush=True)
    return results


def values(results, name, metric):
    return [metrics[metric] for metrics in results[name]]


def median(numbers):
    return statistics.median(numbers)


def spread(numbers):
    """(median, smallest, largest)"""
    return median(numbers), min(numbers), max(numbers)


def ratio(results, ours, theirs, metric):
    """(median, smallest, largest) of ours / theirs, round by round."""
    return spread([a / b for a, b in zip(values(results, ours, metric),
                                         values(results, theirs, metric))])


def difference(results, ours, theirs, metric):
    return spread([a - b for a, b in zip(values(results, ours, metric),
                                         values(results, theirs, metric))])


def target(what, measured, sign, limit):
    """A target and what was measured: (median, smallest, largest). sign is <= or >=."""
    met = measured[0] <= limit if sign == "<=" else measured[0] >= limit
    return {"what": what, "sign": sign, "limit": limit, "measured": measured[0],
            "low": measured[1], "high": measured[2], "met": met}


# ---- results ----

def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)
        return (done.stdout or done.stderr).strip().splitlines()[0]
    except (OSError, IndexError):
        return ""


def machine():
    """Where the figures come from."""
    cpu = [line.partition(":")[2].strip()
           for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
           if line.startswith("model name")]
    release = dict(line.split("=", 1) for line in
                   pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    memory = pathlib.Path("/proc/meminfo").read_text().split()[1]
    libraries = {name: first_line("pkg-config", "--modversion", name)
                 for name in ("libcurl", "rdkafka", "openssl", "libcares", "libpq")}
    return {"processor": cpu[0] if cpu else platform.machine(), "cores": os.cpu_count(),
            "memory_gb": round(int(memory) / 1024 / 1024),
            "system": release["PRETTY_NAME"].strip('"'), "kernel": platform.release(),
            "libraries": libraries}


def save(section, title, results, targets=(), **more):
    """Write build/bench/SECTION.json and print its tables."""
    document = {
        "section": section, "title": title,
        "when": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "quick": QUICK, "seconds": SECONDS, "machine": machine(), "results": results,
        "targets": list(targets), **more}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{section}.json").write_text(json.dumps(document, indent=1) + "\n")
    print(markdown(document), flush=True)
    return document


UNITS = {"us": "µs of processor time a check", "core_rate": "a second of one core",
         "rate": "a second", "cpu_share": "of a core used", "rss_mb": "peak memory, MB",
         "kb_site": "KB a site",
         "us_row": "µs of processor time a row", "pg_us_row": "Postgres', µs a row",
         "p50_ms": "median, ms", "p99_ms": "99 %, ms", "p999_ms": "99.9 %, ms"}


def number(value):
    """Three digits that count, and no exponent."""
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"


def markdown(document):
    """The section's tables."""
    results = document["results"]
    metrics = [key for key in next(iter(results.values()))[0] if key in UNITS]
    lines = [f"### {document['title']}", "",
             "| | " + " | ".join(UNITS[key] for key in metrics) + " |",
             "| --- |" + " --- |" * len(metrics)]
    for name in results:
        cells = []
        for key in metrics:
            middle, low, high = spread(values(results, name, key))
            cells.append(f"{number(middle)} ({number(low)} to {number(high)})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    if document["targets"]:
        lines += ["", "| target | | measured | |", "| --- | --- | --- | --- |"]
        lines += [f"| {t['what']} | {t['sign']} {t['limit']:g} | {t['measured']:.2f} "
                  f"({t['low']:.2f} to {t['high']:.2f}) | {'met' if t['met'] else 'missed'} |"
                  for t in document["targets"]]
    return "\n".join(lines) + "\n"
