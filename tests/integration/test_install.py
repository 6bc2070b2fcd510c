"""make install and uninstall, the units of systemd, and the bill of materials."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from stand import process, sitewatch

PROGRAMS = ("api", "consumer", "producer")
UNITS = [f"lib/systemd/system/sitewatch-{name}.service" for name in PROGRAMS]
SETTINGS = [f"etc/sitewatch/{name}" for name in (
    "api.dsn", "api.env", "consumer.dsn", "consumer.env", "producer.env", "sitewatch.env", "sites.conf")]


def make(*args, root=process.ROOT):
    return subprocess.run(["make", "-s", *args], cwd=root, stdin=subprocess.DEVNULL, text=True,
                          env=process.clean_environment(), capture_output=True, check=False, timeout=120)


def files(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir())


def expected(prefix):
    pages = [f"{prefix}/share/man/man{page.suffix[1:]}/{page.name}" for page in (process.ROOT / "man").iterdir()]
    return sorted([
        *(f"{prefix}/bin/{name}" for name in PROGRAMS), *pages, *(f"{prefix}/{unit}" for unit in UNITS),
        *(f"{prefix}/lib/{kind}.d/sitewatch.conf" for kind in ("sysusers", "tmpfiles")),
        *(f"{prefix}/share/doc/sitewatch/{name}" for name in (
            "README.md", "LICENSE", "examples/sites.conf", "examples/.env.example")), *SETTINGS])


@pytest.mark.parametrize("prefix", ("usr", "opt/sitewatch"))
def test_install_puts_what_a_host_needs_and_uninstall_leaves_the_settings(tmp_path, prefix):
    where = (f"DESTDIR={tmp_path}", f"PREFIX=/{prefix}")
    (tmp_path / "etc/sitewatch").mkdir(parents=True)
    (tmp_path / "etc/sitewatch/producer.env").write_text("LOCATION=ours\n")
    tree = pathlib.Path(sitewatch.binary("")).parent.relative_to(process.ROOT)
    done = make("-o", "all", "install", f"BUILD={tree}", *where)  # what is built stays as it is
    assert done.returncode == 0, done.stdout + done.stderr
    assert files(tmp_path) == expected(prefix)
    for name in PROGRAMS:
        assert os.access(tmp_path / prefix / "bin" / name, os.X_OK)
        unit = (tmp_path / prefix / f"lib/systemd/system/sitewatch-{name}.service").read_text()
        assert f"\nExecStart=/{prefix}/bin/{name}\n" in unit
    assert (tmp_path / "etc/sitewatch/producer.env").read_text() == "LOCATION=ours\n"
    for name in ("api.dsn", "consumer.dsn"):  # they hold passwords
        assert (tmp_path / "etc/sitewatch" / name).stat().st_mode & 0o777 == 0o600
    done = make("uninstall", *where)
    assert done.returncode == 0, done.stdout + done.stderr
    assert files(tmp_path) == sorted(SETTINGS)


def test_settings_that_are_installed_are_settings(tmp_path):
    """Each line of the files, also one that is commented out, names a variable of a program."""
    for name in (*PROGRAMS, "sitewatch"):
        text = (process.ROOT / f"deploy/systemd/{name}.env").read_text()
        known = set()
        for program in PROGRAMS if name == "sitewatch" else (name,):
            done = sitewatch.run(program, "--print-markdown")
            known |= set(re.findall(r"`([A-Z_]+)`", done.stdout))
        used = re.findall(r"^#?([A-Z_]+)=", text, re.M)
        assert used and set(used) <= known, name


@pytest.fixture
def copy(tmp_path):
    """What lint-units reads, to be broken."""
    root = tmp_path / "copy"
    for name in ("deploy", "man", "tests/lint"):
        shutil.copytree(process.ROOT / name, root / name)
    for name in ("Makefile", "README.md", "LICENSE", ".env.example"):
        shutil.copy(process.ROOT / name, root)
    return root


@pytest.mark.parametrize("pattern, text, said", [
    ("^ProtectHome=", "ProtectHouse=", "ProtectHouse"),
    ("^ExecStart=/usr/bin/consumer", "ExecStart=/usr/bin/consumers", "/usr/bin/consumers is not executable"),
    ("^WantedBy", "WantedFor", "WantedFor"),
    (r"^(System|Restrict|Private|Protect)\w+=.*$", "", "exposure is 2.0 or more"),
])
def test_a_unit_that_systemd_does_not_like_is_found(copy, pattern, text, said):
    unit = copy / "deploy/systemd/sitewatch-consumer.service"
    unit.write_text(re.sub(pattern, text, unit.read_text(), flags=re.M))
    done = make("lint-units", root=copy)
    assert done.returncode != 0 and said in done.stdout, done.stdout + done.stderr


def test_our_units_are_fine(copy):
    done = make("lint-units", root=copy)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def sbom(*args):
    done = subprocess.run([process.ROOT / "deploy/sbom", *args], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_the_bill_of_materials_names_the_packages_that_programs_load():
    binaries = [sitewatch.binary(name) for name in PROGRAMS]
    status, text, said = sbom("--version", "1.2.3", *binaries)
    assert status == 0, said
    assert sbom("--version", "1.2.3", *binaries)[1] == text
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["metadata"]["component"]["version"] == "1.2.3"
    by_ref = {component["bom-ref"]: component for component in bill["components"]}
    assert len(by_ref) == len(bill["components"])
    curl = [c for c in by_ref.values() if c["name"].startswith("libcurl4")]
    assert len(curl) == 1
    assert re.match(r"pkg:deb/debian/libcurl4\w*@\d.*\?arch=\w+&distro=debian-\d+&upstream=curl$", curl[0]["purl"])
    installed = subprocess.run(["dpkg-query", "-W", "-f=${Version}", curl[0]["name"]], check=True,
                               capture_output=True, text=True).stdout
    assert curl[0]["version"] == installed
    depends = {d["ref"]: d["dependsOn"] for d in bill["dependencies"]}
    assert curl[0]["bom-ref"] in depends["sitewatch/producer"]
    assert depends["sitewatch"] == [f"sitewatch/{name}" for name in PROGRAMS]
    assert all(ref in by_ref for refs in depends.values() for ref in refs)
    # The check for vulnerabilities looks at the same packages.
    done = subprocess.run([process.ROOT / "tests/lint/packages.sh", *binaries], check=True, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True)
    libraries = {c["name"] for c in by_ref.values() if c["type"] == "library"}
    assert f"packages: {len(libraries)} with libraries that are loaded" in done.stdout
    # What a library asks for in its turn is there too: libcurl's HTTP/2.
    assert any(ref.startswith("pkg:deb/debian/libnghttp2-14@") for ref in depends[curl[0]["bom-ref"]])


STATUS = """Package: libcurl4t64
Status: install ok installed
Architecture: amd64
Source: curl (8.14.1-2)
Version: 8.14.1-2+deb13u1
"""
GONE = "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"
OS_RELEASE = 'ID=debian\nVERSION_ID="13"\n'


@pytest.mark.parametrize("what, files_of_image, purl", [
    ("a whole Debian", {"var/lib/dpkg/status": f"{STATUS}\n{GONE}", "etc/os-release": OS_RELEASE},
     "pkg:deb/debian/libcurl4t64@8.14.1-2%2Bdeb13u1?arch=amd64&distro=debian-13&upstream=curl"),
    ("only libraries", {"var/lib/dpkg/status.d/libcurl4t64": STATUS, "var/lib/dpkg/status.d/gone": GONE},
     "pkg:deb/debian/libcurl4t64@8.14.1-2%2Bdeb13u1?arch=amd64&upstream=curl"),
    ("nothing of Debian", {"bin/program": ""}, None),
])
def test_the_bill_of_an_image_has_what_is_installed_in_it(tmp_path, monkeypatch, what, files_of_image, purl):
    """The docker is a stand-in that has the image's files in a directory."""
    for name, text in files_of_image.items():
        (tmp_path / "image" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "image" / name).write_text(text, encoding="utf-8")
    (tmp_path / "docker").write_text(f"""#!/bin/bash
case $1 in
create) [ "$2" = sitewatch/api:1 ] && echo id ;;
cp) tar -C {tmp_path}/image -cf - "${{3#id:/}}" ;;
rm) echo removed "$2" >>{tmp_path}/removed ;;
esac
""", encoding="utf-8")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    code, text, said = sbom("--image", "sitewatch/api:1")
    assert (tmp_path / "removed").read_text() == "removed id\n", what
    if purl is None:
        assert code == 1 and not text and "no package is installed there" in said, what
    else:
        assert code == 0, said
        bill = json.loads(text)
        assert bill["metadata"]["component"]["name"] == "sitewatch/api:1"
        assert [c["purl"] for c in bill["components"]] == [purl], what
