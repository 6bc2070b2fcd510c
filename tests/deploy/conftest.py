"""Fixtures: the engine, the images built once, and what a project left behind."""

import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import pytest  # noqa: E402

import engine as engine_module  # noqa: E402
from stand import sites  # noqa: E402

TAG = "under-test"


class Engine:
    def __init__(self, env):
        self.env = {**env, "TAG": TAG, "NO_BUILD": "1"}

    def run(self, *command, seconds=300, check=True, **more):
        done = subprocess.run([str(word) for word in command], cwd=engine_module.ROOT, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=seconds, check=False,
                              env={**self.env, **{name: str(value) for name, value in more.items()}})
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def inspect(self, *names):
        return json.loads(self.run("docker", "inspect", *names).stdout)

    def left(self, project):
        """Containers, networks and volumes of a compose project."""
        found = []
        for kind, extra in (("container", ["--all"]), ("network", []), ("volume", [])):
            found += self.run("docker", kind, "ls", "--quiet", *extra, "--filter",
                              f"label=com.docker.compose.project={project}").stdout.split()
        return found

    def containers(self, project):
        return self.inspect(*self.run("docker", "ps", "--quiet", "--filter",
                                      f"label=com.docker.compose.project={project}").stdout.split())


@pytest.fixture(scope="session")
def engine():
    env, why = engine_module.start()
    if env is None:
        pytest.fail(why)
    return Engine(env)


@pytest.fixture(scope="session")
def images(engine):
    """{name: what docker says of the image}."""
    names = ("producer", "consumer", "api", "sites", "test")
    engine.run("make", "images", "image-test", f"TAG={TAG}", seconds=900)
    return dict(zip(names, engine.inspect(*(f"sitewatch/{name}:{TAG}" for name in names))))


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    return sites.make_certificates(tmp_path_factory.mktemp("certs"))
