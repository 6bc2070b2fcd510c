"""What a person sees: the table of --once, the view of --watch, and a terminal that is as it was."""

import os
import re
import signal
import time

import pytest

from stand import process, sitewatch
from stand.screen import GIVEN_BACK, TAKEN, Screen
from stand.sites import target, targets

BARS = "▇▅x?"


@pytest.fixture
def screens(no_kafka):
    """screens(*args, env=..., columns=..., rows=...) starts a producer on a terminal of its own."""
    started = []

    def start(*args, env=None, **more):
        started.append(Screen("producer", *args, env={**no_kafka, **(env or {})}, **more))
        return started[-1]

    yield start
    for screen in started:
        screen.close()


@pytest.fixture
def few(sited, tmp_path):
    """One site of each kind, two with names that are not plain."""
    path = tmp_path / "sites.conf"
    path.write_text(targets(
        target("shop", sited.url("/ok?terminal")), target("broken", sited.url("/status/500?terminal")),
        target("slow", sited.url("/slow/300?terminal"), "seconds = 1; slow_ms = 200;"),
        target("日本語", sited.url("/ok?wide")), target("evil\u009b31m\u202eabc", sited.url("/garbage?terminal"))),
        encoding="utf-8")
    return path


def row_of(lines, name):
    """pyte leaves an empty cell after a wide character."""
    found = [line for line in lines if name in line.replace("語 ", "語")]
    return found[0] if found else ""


# --- --once ---

def test_once_on_a_terminal_has_colours_bars_and_cells_in_columns(screens, few):
    screen = screens("--once", "--targets-file", few)
    assert screen.wait() == 1
    lines = screen.lines()
    assert lines[0].startswith("time by phase:") and lines[1].startswith("STATUS")
    at = lines[1].index("SITE")
    for name, status, colour in (("shop", "up", "green"), ("broken", "down", "red"), ("slow", "degraded", "brown")):
        row = row_of(lines, name)
        assert row.startswith(status) and row.index(name) == at, row
        assert re.search("[░▒▓█▄]{20}", row), row
        assert screen.colour_of(row) == colour
    broken, evil = row_of(lines, "broken"), row_of(lines, "evil")
    assert evil[at:].startswith("evil?31m?abc"), "what would steer the terminal is not written"
    assert evil.index("protocol:") == broken.index("status:")
    assert "\u009b" not in screen.raw and "\u202e" not in screen.raw


@pytest.mark.parametrize("args", [["--once"], ["--watch"]])
@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "TERM=dumb"])
def test_no_escape_sequence_where_none_are_wanted(screens, few, args, env):
    screen = screens(*args, "--check-on-start", "--targets-file", few, env=env)
    screen.wait_for(lambda lines: len([line for line in lines if re.match("up|down|degraded", line)]) >= 5, "five rows")
    screen.signal(signal.SIGTERM)
    assert screen.wait() in (0, 1)
    assert "\x1b" not in screen.raw
    assert "evil?31m?abc" in screen.raw


def test_a_terminal_without_utf8_gets_ascii(screens, few):
    screen = screens("--once", "--targets-file", few, locale="C")
    assert screen.wait() == 1
    assert screen.raw.isascii()
    assert re.search(r"[dctwr]{20}", re.sub("\x1b\\[[0-9;]*m", "", screen.raw))
    assert "???" in screen.raw, "the name of the wide site"


@pytest.mark.parametrize("flag", ["--once", "--watch"])
def test_what_goes_to_no_terminal_is_plain(programs, few, no_kafka, flag):
    producer = programs("producer", flag, "--check-on-start", "--targets-file", few,
                        env={**no_kafka, "LC_ALL": "C", "TERM": "xterm"})
    process.wait_for(lambda: len(re.findall(r"^(?:up|down|degraded) ", producer.stdout(), re.M)) >= 5, "five rows")
    producer.signal(signal.SIGTERM)
    assert producer.wait() in (0, 1)
    out = producer.stdout()
    assert out.startswith("STATUS    CODE  TOTAL_MS      DNS  CONNECT      TLS     WAIT TRANSFER  SITE")
    assert "\x1b" not in out and "日本語" in out and not re.search("[░▒▓█▄]", out)


def test_a_long_run_says_how_far_it_is_and_leaves_no_trace_of_that(screens, sited, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(*(target(f"site{i}", sited.url(f"/slow/{i * 150}?progress"), "seconds = 60;")
                              for i in range(12))))
    screen = screens("--once", "--targets-file", path)
    screen.wait_for(lambda lines: any(re.search(r"\d+ of 12 checked, 0 not up", line) for line in lines), "progress")
    assert screen.wait() == 0
    lines = screen.lines()
    assert len([line for line in lines if line.startswith("up ")]) == 12
    assert not [line for line in lines if "checked" in line], lines


# --- --watch ---

def watching(screen, count=5):
    """Until each site has a line with a bar."""
    return screen.wait_for(lambda lines: len([line for line in lines if re.search(f"[{BARS}]  +\\d+ s  ", line)])
                           >= count and lines, "a line with a bar for each site")


def ends_well(screen, sig, status=0):
    screen.signal(sig)
    assert screen.wait() == status
    assert screen.raw.startswith(TAKEN)
    assert screen.raw.count("\x1b[?1049h") == screen.raw.count("\x1b[?1049l")
    assert GIVEN_BACK in screen.raw[-2000:] and screen.raw.rindex("\x1b[?25h") > screen.raw.rindex("\x1b[?25l")


def test_the_view_has_each_site_the_worst_first_and_its_last_checks(screens, few):
    screen = screens("--watch", "--targets-file", few)
    watching(screen)
    lines = screen.wait_for(lambda lines: "xx" in row_of(lines, "broken") and lines, "two checks of a site")
    assert re.match(r"\d\d:\d\d:\d\d  5 sites: 2 down, 1 degraded, 2 up  in flight \d+  lag \d+\.\d ms  missed 0", lines[0])
    assert [line.split()[0] for line in lines[2:7]] == ["down", "down", "degraded", "up", "up"]
    assert row_of(lines, "broken").rstrip().endswith("…") and "status: status 500" in row_of(lines, "broken")
    assert "evil?31m?abc" in row_of(lines, "evil") and "\u202e" not in screen.raw
    assert screen.colour_of(row_of(lines, "broken")) == "red"
    ends_well(screen, signal.SIGTERM)


def test_the_view_follows_the_size_of_the_terminal(screens, few):
    screen = screens("--watch", "--targets-file", few, columns=120, rows=30)
    watching(screen)
    screen.resize(70, 5)
    lines = screen.wait_for(lambda lines: lines[4] == "and 3 more" and lines, "the last line of five")
    assert [line.split()[0] for line in lines[2:4]] == ["down", "down"]
    screen.resize(20, 3)
    screen.wait_for(lambda lines: lines[2] == "and 5 more" and lines[1] == "STATUS   SITE", "a very small one")
    screen.resize(1, 1)
    screen.wait_for(lambda lines: len(lines[0]) == 1, "one character")
    screen.resize(150, 40)
    watching(screen)
    ends_well(screen, signal.SIGINT)


def test_a_busy_view_is_drawn_a_few_times_a_second(screens, sited, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(*(target(f"site{i:02}", sited.url(f"/ok?busy={i}")) for i in range(60))))
    screen = screens("--watch", "--targets-file", path)
    screen.wait_for(lambda lines: lines[23] == "and 39 more", "a full screen")
    before, started = screen.raw.count("\x1b[1;1H"), time.monotonic()
    process.wait_for(lambda: screen.raw.count("\x1b[1;1H") >= before + 6, "six times that it is drawn")
    drawn, seconds = screen.raw.count("\x1b[1;1H") - before, time.monotonic() - started
    assert drawn <= 4 * seconds + 2
    ends_well(screen, signal.SIGTERM)


def test_ctrl_z_gives_the_terminal_back_until_the_program_goes_on(screens, few):
    screen = screens("--watch", "--targets-file", few)
    watching(screen)
    screen.signal(signal.SIGTSTP)
    process.wait_for(lambda: screen.raw.endswith(GIVEN_BACK), "the terminal back")
    with open(f"/proc/{screen.process.pid}/stat", encoding="ascii") as stat:
        process.wait_for(lambda: stat.seek(0) == 0 and stat.read().rpartition(") ")[2][0] == "T", "it to stop")
    screen.signal(signal.SIGCONT)
    process.wait_for(lambda: screen.raw.count(TAKEN) >= 2, "the terminal taken again")
    watching(screen)
    ends_well(screen, signal.SIGTERM)


@pytest.mark.parametrize("sig", [signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV])
def test_a_signal_that_ends_it_gives_the_terminal_back(screens, few, sig):
    screen = screens("--watch", "--targets-file", few)
    watching(screen)
    screen.signal(sig)
    assert screen.process.wait(30) == -sig
    process.wait_for(lambda: screen.raw.endswith(GIVEN_BACK), "the terminal back")


def test_a_second_signal_gives_the_terminal_back_too(screens, sited, tmp_path):
    path = tmp_path / "sites.conf"
    path.write_text(targets(target("held", sited.url("/slow/60000?watch"), "seconds = 90; timeout_ms = 80000;")))
    screen = screens("--watch", "--check-on-start", "--targets-file", path)
    screen.wait_for(lambda lines: "in flight 1" in lines[0], "the check to begin")
    screen.signal(signal.SIGTERM)
    screen.wait_for(lambda lines: "draining" in lines[0], "the view to say so")
    ends_well(screen, signal.SIGTERM)


def test_a_terminal_that_is_stopped_holds_up_no_check(screens, sited, few):
    screen = screens("--watch", "--targets-file", few)
    watching(screen)
    screen.pause()
    before = sited.counts("/ok?terminal")["/ok?terminal"]
    process.wait_for(lambda: sited.counts("/ok?terminal")["/ok?terminal"] >= before + 8, "checks meanwhile", 40)
    screen.go_on()
    watching(screen)
    ends_well(screen, signal.SIGTERM)


def test_a_terminal_that_is_gone_ends_it(screens, few):
    screen = screens("--watch", "--targets-file", few)
    watching(screen)
    os.close(screen.master)
    screen.master = -1
    assert screen.process.wait(30) in (0, 1)


def test_with_kafka_asked_for_the_view_publishes_as_well(screens, pipeline, few):
    screen = screens("--watch", "--output", "kafka", "--targets-file", few, env=pipeline.env)
    watching(screen)
    process.wait_for(lambda: pipeline.published() >= 5, "events in Kafka")
    ends_well(screen, signal.SIGTERM)


@pytest.mark.parametrize("args", [["--once", "--watch"], ["--watch", "--output", "json"]])
def test_what_does_not_go_together_is_refused(no_kafka, few, args):
    done = sitewatch.run("producer", *args, "--targets-file", few, env=no_kafka)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
