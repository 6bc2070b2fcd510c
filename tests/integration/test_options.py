"""--help, the man pages and the table of settings say the same."""

import re
import subprocess

import pytest

from stand import process, sitewatch

NO_SITE = process.ROOT / "tests/targets/bad/no_site.conf"
PROGRAMS = ("producer", "consumer", "api")


def long_flags_of_help(program):
    done = sitewatch.run(program, "--help")
    assert done.returncode == 0 and not done.stderr
    return set(re.findall(r"^ +--([a-z][a-z-]*)", done.stdout, re.M))


def long_flags_of_mdoc(text):
    return {flag.replace("\\-", "-") for flag in re.findall(r"^\.It Fl (?:Fl |\\?-)([\w\\-]+)", text, re.M)}


def man_page(program):
    pages = sorted((process.ROOT / "man").glob(f"*{program}.1"))
    assert len(pages) == 1, pages
    return pages[0].read_text()


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_man_page_list_the_same_flags(program):
    flags = long_flags_of_help(program)
    assert len(flags) > 5
    assert long_flags_of_mdoc(man_page(program)) == flags


def test_man_pages_and_settings_page_hold_what_the_programs_print():
    done = subprocess.run(["sh", "docs/options.sh", "--check", sitewatch.binary("")], cwd=process.ROOT,
                          env=process.clean_environment(), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_is_one_line(program):
    done = sitewatch.run(program, "--version")
    assert done.returncode == 0 and re.fullmatch(rf"{program} \S+\n", done.stdout)


@pytest.mark.parametrize("flag", ["--help", "--version"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_there_also_when_the_environment_and_the_file_are_wrong(program, flag, tmp_path):
    path = tmp_path / "wrong.conf"
    path.write_text("nonsense")
    done = sitewatch.run(program, flag, "--config", path, env={"LOG_FORMAT": "xml"})
    assert done.returncode == 0 and program in done.stdout and not done.stderr
    assert sitewatch.run(program, env={"LOG_FORMAT": "xml"}).returncode == 2


@pytest.mark.parametrize("args", [
    ["producer", "--help"], ["consumer", "--version"], ["producer", "--check-config", "--url", "http://a/"],
], ids=" ".join)
def test_what_could_not_be_written_is_no_success(args):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([sitewatch.binary(args[0]), *args[1:]], stdin=subprocess.DEVNULL, stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False, env=process.clean_environment())
    assert (done.returncode, done.stderr) == (1, f"{args[0]}: standard output: No space left on device\n")


@pytest.mark.parametrize(("program", "args", "words"), [
    ("producer", ["--url", "http://x/", "--location", ""], "flag --location: is empty"),
    ("producer", ["--url", "http://x/", "--observer", "x" * 256], "observer: want 1 to 255 bytes"),
    ("producer", ["--url", "http://x/", "--location", "a\nb"], "location: want 1 to 255 bytes"),
    ("producer", ["--seconds", "5", "--targets-topic", "sites"], "--seconds goes with --url"),
    ("producer", ["--url", "http://x/", "--check-config", "--kafka-topic-success", "a b"], "KAFKA_TOPIC_SUCCESS"),
    ("producer", ["--url", "http://x/", "--check-config", "--listen", "localhost:1"], 'listen: "localhost:1"'),
    ("producer", ["--url", "http://x/", "--check-config", "--dns-servers", "999.1.1.1"], 'name servers "999.1.1.1"'),
    ("consumer", ["--check-config", "--postgres-dsn", "dbname=x", "--listen", "x"], 'listen: "x"'),
    ("api", ["--check-config", "--postgres-dsn", "dbname=x", "--listen", "off"], 'listen: "off"'),
    ("consumer", ["seed", NO_SITE, "--check-config", "--postgres-dsn", "dbname=x"], "no_site.conf:1: targets: is empty"),
    ("consumer", ["--postgres-dsn", ""], "flag --postgres-dsn: is empty"),
    ("consumer", ["--postgres-dsn", "dbname=x", "--kafka-topic-dead-letter", "checks-failure"], "are the same topic"),
    ("consumer", ["--check-config", "--postgres-dsn", "dbname=x", "--kafka-topic-sites", "a/b"], "kafka-topic-sites"),
    ("consumer", ["offsets", "reset", "--partition", ""], "flag --partition: is empty"),
    ("api", ["--postgres-dsn", "dbname=x", "--owner", "me"], "--owner is one of api token create alone"),
    ("api", ["token", "list", "--days", "3"], "--days is one of api token create alone"),
    ("api", ["token", "made"], "want create, list or revoke"),
    ("api", ["run", "now"], "run now: not a command"),
])
def test_what_a_program_cannot_do_ends_with_2_and_one_line(program, args, words):
    done = sitewatch.run(program, *args)
    assert done.returncode == 2 and words in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1


# Where they listen, which the images say, and paths, which the stacks do.
PLACES = {"LISTEN", "API_LISTEN", "TARGETS_FILE", "SPOOL_FILE", "KAFKA_CAFILE", "KAFKA_CERTFILE", "KAFKA_KEYFILE",
          "KAFKA_KEYILE", "API_CERTFILE", "API_KEYFILE"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_stacks_in_containers_hand_on_every_setting(program):
    options = (process.ROOT / "docs/settings.md").read_text().split(f"<!-- options of {program} -->")[1]
    rows = re.findall(r"^\| `--\S+.*?\| ([^|]*) \|", options.split("<!-- end of ")[0], re.M)
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)} - PLACES
    handed_on = (process.ROOT / "deploy/settings.yaml").read_text().split(f"\n  {program}:\n")[1]
    handed_on = re.match(r"    environment:\n((?:      \w+:\n)+)", handed_on).group(1).split()
    assert sorted(name.rstrip(":") for name in handed_on) == sorted(n for n in names if not n.endswith("_FILE"))
    for folder in ("local", "prod"):
        compose = (process.ROOT / f"deploy/{folder}/compose.yaml").read_text()
        assert f"extends: {{file: ../settings.yaml, service: {program}}}" in compose, folder
