"""--help, the man pages and the table of settings say the same."""

import re
import subprocess

import pytest

from stand import process, sitewatch

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
