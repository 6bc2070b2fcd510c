"""The checks of `make lint` that are our own, and the hook before a commit: each finds what it is for."""

import pathlib
import shutil
import subprocess

import pytest

from stand import fetch, process

LINT = process.ROOT / "tests/lint"

HARD = ("-O2", "-fPIE", "-pie", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,-z,relro,-z,now",
        "-Wl,-z,noexecstack")
PROGRAM = """
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
    char text[64];

    snprintf(text, sizeof(text), "%s", argv[argc - 1]);
    memcpy(text, argv[0], strlen(argv[0]));
    return puts(text);
}
"""


def run(command, cwd=process.ROOT, **env):
    done = subprocess.run(list(map(str, command)), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=200, env=process.clean_environment(TOOLS=fetch.tools(), **env))
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def compiled(tmp_path):
    source = tmp_path / "program.c"
    source.write_text(PROGRAM)

    def build(*flags):
        code, said = run(["gcc", *flags, "-o", tmp_path / "program", source])
        assert code == 0, said
        return tmp_path / "program"

    return build


@pytest.mark.parametrize("off, said", [
    (("-fno-pie", "-no-pie"), "no position independence"),
    (("-Wl,-z,norelro",), "no read-only relocations"),
    (("-Wl,-z,lazy",), "no binding at the start"),
    (("-Wl,-z,execstack",), "no stack that is not executable"),
    (("-fno-stack-protector",), "no stack protector"),
    (("-U_FORTIFY_SOURCE",), "no checked string functions"),
    (("-Wl,-rpath,/tmp",), "a path of its own to libraries"),
])
def test_a_program_without_a_guard_is_named_with_it(compiled, off, said):
    code, output = run([LINT / "hardening.sh", compiled(*HARD, *off)])
    assert code == 1 and "program: " in output and said in output
    assert len(output.splitlines()) == 1


def test_a_program_with_every_guard_passes(compiled):
    assert run([LINT / "hardening.sh", compiled(*HARD)]) == (0, "")


@pytest.fixture
def machine(tmp_path):
    """A machine of two libraries, as its own commands tell; `apt` and `debsecan` are what these print."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def command(name, script):
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(0o755)

    command("ldd", "echo '  libcurl.so.4 => /usr/lib/libcurl.so.4 (0x1)'; echo '  libc.so.6 => /lib/libc.so.6 (0x2)'")
    command("dpkg-query", "echo libcurl4:amd64: /usr/lib/libcurl.so.4; echo libc6:amd64: /lib/libc.so.6")
    (tmp_path / "lists").mkdir()

    def scan(*args, apt="", debsecan=None, lists=True):
        name = tmp_path / "lists/deb.debian.org_debian-security_dists_x-security_InRelease"
        name.unlink(missing_ok=True)
        if lists:
            name.touch()
        command("apt-get", f"cat <<'END'\n{apt}\nEND")
        if debsecan is not None:
            command("debsecan", debsecan)
        # Only what is needed beside ours, so that a debsecan of this machine is not found.
        for tool in ("bash", "sed", "sort", "find", "grep", "cat", "timeout"):
            if not (folder / tool).exists():
                (folder / tool).symlink_to(shutil.which(tool))
        return run([LINT / "packages.sh", *args, "/bin/true"], PATH=str(folder), APT_LISTS=str(tmp_path / "lists"))

    return scan


UPDATE = "Inst {} [1.0] (1.1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64])"


@pytest.mark.parametrize("what, options, code, said", [
    ("an update that waits is named", {"apt": UPDATE.format("libcurl4")}, 1,
     "libcurl4 1.0: a security update is not installed, 1.1"),
    ("an update of what we do not load is nothing", {"apt": UPDATE.format("bash")}, 0, "0 findings"),
    ("an update for another reason is nothing",
     {"apt": "Inst libc6 [1.0] (1.1 Debian:12.15/oldstable [amd64])"}, 0, "0 findings"),
    ("old lists of apt are said", {"apt": UPDATE.format("libcurl4"), "lists": False}, 0,
     "security updates were not looked for"),
    ("a vulnerability that is mended is named", {"debsecan": "echo CVE-2026-1 libcurl4; echo CVE-2026-2 bash"}, 1,
     "libcurl4: CVE-2026-1 is mended"),
    ("a tracker that does not answer is said", {"debsecan": "exit 1"}, 0, "security tracker does not answer"),
    ("no debsecan is said", {}, 0, "there is no debsecan"),
])
def test_vulnerabilities_of_the_libraries(machine, what, options, code, said):
    strict = machine("--strict", **options)
    assert strict[0] == code and said in strict[1], f"{what}: {strict}"
    assert machine(**options) == (0, strict[1]), f"{what}: without --strict it is shown only"


@pytest.fixture
def clone(tmp_path):
    """A clone with the files of this tree, and the hook set."""
    root = tmp_path / "clone"
    code, said = run(["git", "clone", "-q", "--no-hardlinks", process.ROOT, root])
    assert code == 0, said
    for name in (".githooks", "tests/lint"):
        shutil.copytree(process.ROOT / name, root / name, dirs_exist_ok=True)
    shutil.copy(process.ROOT / "Makefile", root)
    for command in (["git", "config", "user.name", "tests"], ["git", "config", "user.email", "tests@localhost"],
                    ["git", "add", "-A"], ["git", "commit", "-q", "--allow-empty", "-m", "base"],
                    ["make", "-s", "hooks"]):
        code, said = run(command, cwd=root)
        assert code == 0, said
    assert run(["git", "config", "core.hooksPath"], cwd=root) == (0, ".githooks\n")
    return root


@pytest.mark.parametrize("path, text, said", [
    ("common/mess.c", "int   x ;\n", "lint-format refuses"),
    ("common/ban.c", "#include <stdlib.h>\n\nint ban(void);\n\nint ban(void)\n{\n    return atoi(\"1\");\n}\n",
     "lint-bans refuses"),
    ("common/alone.h", "size_t no_header_for_this(void);\n", "lint-headers refuses"),
    ("deploy/mess", "#!/bin/bash\ncd $1\n", "lint-shell refuses"),
    ("man/mess.1", ".Dd today\n.Zz\n", "lint-man refuses"),
])
def test_a_commit_of_what_lint_refuses_is_refused(clone, path, text, said):
    (clone / path).write_text(text)
    run(["git", "add", path], cwd=clone)
    before = run(["git", "rev-parse", "HEAD"], cwd=clone)
    code, output = run(["git", "commit", "-q", "-m", "x"], cwd=clone)
    assert code != 0 and said in output and pathlib.Path(path).name in output, output
    assert run(["git", "rev-parse", "HEAD"], cwd=clone) == before


def test_what_is_staged_counts_not_what_lies_beside_it(clone):
    (clone / "docs/page.md").write_text("a page\n")
    (clone / "common/mess.h").write_text("int   x ;\n")
    run(["git", "add", "docs/page.md"], cwd=clone)
    assert run(["git", "commit", "-q", "-m", "docs: add a page"], cwd=clone) == (0, "")


def test_a_commit_of_code_runs_the_unit_tests(clone):
    """The build is a stand-in that fails: the hook is what is tested."""
    with (clone / "common/clock.h").open("a") as header:
        header.write("\n/* more */\n")
    run(["git", "add", "common/clock.h"], cwd=clone)
    (clone / "GNUmakefile").write_text("units:\n\t@echo a test fails\n\t@false\n")
    code, output = run(["git", "commit", "-q", "-m", "x"], cwd=clone)
    assert code != 0 and "a test fails" in output and "the unit tests fail" in output
    (clone / "GNUmakefile").write_text("units test-unit:\n\t@true\n")
    assert run(["git", "commit", "-q", "-m", "x"], cwd=clone) == (0, "")
