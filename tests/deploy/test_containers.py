"""What deploy/ promises, with a real engine: images, the three stacks, and nothing left behind."""

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

from stand import kafka as kafka_module, process

ROOT = process.ROOT
PROGRAMS = ("producer", "consumer", "api")
IMAGE_BYTES_MAX = 120_000_000
UID = 65532


@pytest.mark.parametrize("folder", ("local", "test", "prod"))
def test_a_compose_file_is_one(engine, folder):
    more = ["--env-file", ".env.example"] if folder == "prod" else []
    said = engine.run("docker", "compose", "--project-directory", f"deploy/{folder}", *(
        ["--env-file", f"deploy/{folder}/.env.example"] if more else []), "config", "-q")
    assert not said.stdout and not said.stderr, said.stderr


def test_what_env_sets_reaches_the_program_and_production_needs_no_file_of_sites(engine, images, tmp_path):
    env = tmp_path / "env"
    env.write_text((ROOT / "deploy/prod/.env.example").read_text() + "THREADS=many\n")
    compose = ("docker", "compose", "--project-directory", "deploy/prod", "--env-file", env, "-p", "sitewatch-deploy-env")
    checked = ("run", "--rm", "--no-deps", "-T", *(f"-e{name}=" for name in ("KAFKA_CAFILE", "KAFKA_CERTFILE", "KAFKA_KEYFILE")),
               "producer", "--check-config")
    alone = {"SITES": "/dev/null", "TARGETS_FILE": ""}
    try:
        said = engine.run(*compose, *checked, check=False, **alone)
        assert said.returncode == 2 and "THREADS: 'many' is not a whole number" in said.stderr
        said = engine.run(*compose, *checked, check=False, THREADS="2", **alone)
        assert said.returncode == 0 and said.stdout == "sites of topic sites are read when it runs\n", said.stderr
    finally:
        engine.run(*compose, "down", "--volumes")


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_image_holds_its_program_and_little_else(engine, images, name):
    image, config = images[name], images[name]["Config"]
    assert image["Size"] < IMAGE_BYTES_MAX, f"{image['Size'] / 1e6:.0f} MB"
    assert config["User"] == f"{UID}:{UID}"
    assert config["Healthcheck"]["Test"] == ["CMD", f"/usr/bin/{name}", "--health"]
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert labels["title"] == f"sitewatch {name}" and labels["licenses"] == "MIT"
    said = engine.run("docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", image["Id"], "--version").stdout
    assert said == f"{name} {labels['version']}\n"
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert labels["revision"] == commit.stdout.strip()
    shell = engine.run("docker", "run", "--rm", "--entrypoint", "/bin/sh", image["Id"], "-c", "true", check=False)
    assert shell.returncode == 127, "it has a shell"


def assert_contained(container):
    host, name = container["HostConfig"], container["Name"]
    assert host["ReadonlyRootfs"], name
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"], name
    assert "no-new-privileges:true" in host["SecurityOpt"], name
    assert not host["Privileged"] and host["PidsLimit"] and host["Memory"] and host["NanoCpus"], name
    assert container["Config"]["User"] not in ("", "0", "root"), name


def get(url, token=None):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, answer.read().decode()


def post(url, token, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {
        "Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_the_local_stack_stores_checks_and_answers_and_leaves_nothing(engine, images):
    project, port = "sitewatch-deploy-test", process.free_port()
    here = {"COMPOSE_PROJECT_NAME": project, "API_PORT": port}
    token_file = ROOT / "deploy/local/.token"
    kept = token_file.read_text() if token_file.exists() else None
    token_file.unlink(missing_ok=True)
    try:
        said = engine.run("deploy/local/run.sh", seconds=200, **here).stdout
        print(said)
        assert int(re.search(r"running after (\d+) s, [1-9]\d* checks stored", said).group(1)) <= 90
        assert get(f"http://127.0.0.1:{port}/healthz")[0] == 200
        assert "<html" in get(f"http://127.0.0.1:{port}/")[1], "the dashboard"
        token = token_file.read_text().strip()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            get(f"http://127.0.0.1:{port}/websites")
        process.wait_for(lambda: '"shop"' in get(f"http://127.0.0.1:{port}/websites", token)[1],
                         "the sites of the stack to be known", 30, 0.5)
        made = post(f"http://127.0.0.1:{port}/websites", token, {
            "url": "http://sites:8000/ok?made", "seconds": 5, "allow_private": True})
        assert made["url"] == "http://sites:8000/ok?made"
        running = engine.containers(project)
        assert {c["Config"]["Labels"]["com.docker.compose.service"] for c in running} == {
            "kafka", "postgres", "sites", "consumer", "producer", "api"}
        for container in running:
            assert_contained(container)
            assert container["RestartCount"] == 0, container["Name"]
        process.wait_for(lambda: '"up"' in get(f"http://127.0.0.1:{port}/websites/{made['id']}", token)[1],
                         "a site made through the api to be checked", 60, 0.5)

        def well():
            states = {c["Name"]: c["State"].get("Health", {}).get("Status") for c in engine.containers(project)}
            return all(state == "healthy" for name, state in states.items() if "sites" not in name)

        process.wait_for(well, "all containers to be healthy", 60, 1)
        # Once more: nothing is made anew that has not changed.
        before = {c["Id"] for c in engine.containers(project)}
        engine.run("deploy/local/run.sh", seconds=200, **here)
        assert {c["Id"] for c in engine.containers(project)} == before
    finally:
        engine.run("deploy/local/cleanup.sh", **here)
        if kept is not None:
            token_file.write_text(kept)
    assert engine.left(project) == []


def test_the_tests_run_in_a_container_and_their_status_comes_out(engine, images):
    project = "sitewatch-deploy-test-test"
    here = {"COMPOSE_PROJECT_NAME": project}
    good = engine.run("deploy/test/run.sh", "tests/integration/test_pipeline.py", "-k", "one_site_by_flags",
                      check=False, **here)
    assert good.returncode == 0 and "1 passed" in good.stdout, good.stdout + good.stderr
    assert engine.left(project) == []
    none = engine.run("deploy/test/run.sh", "tests/integration/test_pipeline.py", "-k", "no_such_test",
                      check=False, **here)
    assert none.returncode == 5, none.stdout + none.stderr
    assert engine.left(project) == []


def own(path, uid, mode):
    os.chown(path, uid, uid)
    path.chmod(mode)


@pytest.fixture
def managed(certs, tmp_path):
    """Certificates as deploy/prod wants them, and those of the servers: readable by who runs there."""
    directory = tmp_path / "certificates"
    for folder in ("kafka", "postgres", "server"):
        (directory / folder).mkdir(parents=True)
    shutil.copy(certs / "ca.pem", directory / "kafka/ca.pem")
    shutil.copy(certs / "ca.pem", directory / "postgres/ca.pem")
    shutil.copy(certs / "ca.pem", directory / "server/ca.pem")
    shutil.copy(certs / "client.pem", directory / "kafka/service.cert")
    shutil.copy(certs / "client.key", directory / "kafka/service.key")
    kafka_module.write_keystore(certs, "kafka-host", directory / "server/kafka.pem")
    for suffix in ("pem", "key"):
        shutil.copy(certs / f"postgres-host.{suffix}", directory / f"server/postgres.{suffix}")
    own(directory / "kafka/service.key", UID, 0o400)
    own(directory / "server/kafka.pem", 1000, 0o400)
    own(directory / "server/postgres.key", 999, 0o400)
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    return directory


def test_the_production_stack_runs_against_managed_servers(engine, images, managed, tmp_path):
    project, port = "sitewatch-deploy-test-prod", process.free_port()
    sites = tmp_path / "sites.conf"
    sites.write_text('targets = ({ name = "shop"; url = "http://sites:8000/ok?shop"; seconds = 1; });\n')
    env_file = tmp_path / "env"
    env_file.write_text(
        "KAFKA_BOOTSTRAP_SERVERS=kafka:9093\n"
        'POSTGRES_DSN="host=postgres dbname=sitewatch user=sitewatch password=sitewatch sslmode=verify-full '
        'sslrootcert=/certificates/postgres/ca.pem"\n')
    here = {"COMPOSE_PROJECT_NAME": project, "API_ADDRESS": f"127.0.0.1:{port}", "CERTIFICATES": managed,
            "SITES": sites, "COMPOSE_ENV_FILES": env_file,
            "COMPOSE_FILE": f"{ROOT}/deploy/prod/compose.yaml:{ROOT}/tests/deploy/managed.yaml"}
    compose = ("docker", "compose", "--project-directory", "deploy/prod")
    try:
        engine.run(*compose, "up", "--detach", "kafka", "postgres", "sites", **here)
        process.wait_for(lambda: engine.run(*compose, "run", "--rm", "--no-deps", "-T", "consumer", "migrate",
                                            check=False, **here).returncode == 0, "Postgres", 60, 1)
        said = engine.run("deploy/prod/run.sh", check=False, **here)
        assert said.returncode == 0, said.stdout + said.stderr
        token = re.search(r"^\S{20,}$", said.stdout, re.M).group(0)
        logs = engine.run(*compose, "logs", "consumer", **here).stdout

        def named():
            return "consumer migrate --topics makes it" in engine.run(*compose, "logs", "consumer", **here).stdout

        process.wait_for(named, "the missing topic to be named", 60, 1)
        made = engine.run(*compose, "run", "--rm", "--no-deps", "-T", "consumer", "migrate", "--topics", **here).stdout
        assert "checks-success: made" in made, made
        process.wait_for(lambda: '"shop"' in get(f"http://127.0.0.1:{port}/websites", token)[1],
                         "a check to be stored", 60, 1)
        for container in engine.containers(project):
            if container["Config"]["Labels"]["com.docker.compose.service"] in PROGRAMS:
                assert_contained(container)
            unnamed = [mount["Destination"] for mount in container["Mounts"]
                       if mount["Type"] == "volume" and not mount["Name"].startswith(project)]
            assert unnamed == [], "volumes that nobody removes"
        engine.run("deploy/prod/cleanup.sh", **here)
        volumes = engine.run("docker", "volume", "ls", "--quiet", "--filter",
                             f"label=com.docker.compose.project={project}").stdout.split()
        assert volumes == [f"{project}_spool"], logs
    finally:
        engine.run("deploy/prod/cleanup.sh", "--spool", **here)
    assert engine.left(project) == []
