"""Sites that come through the API do not lead into the network of who checks them."""

import subprocess

import pytest

from stand import netspace, process, sitewatch
from stand.api import Api

PUBLIC = "192.0.43.8"  # on the loopback of a network namespace
ZONE = f"""inside.example A 10.0.0.1
meta.example A 169.254.169.254
mapped.example AAAA ::ffff:127.0.0.1
public.example A {PUBLIC}
"""


@pytest.fixture
def space():
    made = netspace.Netspace(PUBLIC)
    yield made
    made.close()


@pytest.fixture
def server(space):
    """server(command...) runs one there that says its port."""
    started = []

    def start(*command):
        started.append(process.start([*space.inside, *command], stdout=subprocess.PIPE, text=True))
        return int(started[-1].stdout.readline().removeprefix("port="))

    yield start
    for one in started:
        process.stop(one)
        one.stdout.close()


def test_no_address_of_ours_is_reached_by_any_way(pipeline, programs, postgres, space, server, tmp_path):
    zone = tmp_path / "zone"
    zone.write_text(ZONE, encoding="utf-8")
    dns = server(process.stand_program("dnsd"), "--port", "0", "--zone", str(zone))
    site = server(process.stand_program("sited"), "--port", "0", "--open")
    space.forward(int(pipeline.kafka.bootstrap.rpartition(":")[2]))
    pipeline.env["KAFKA_TOPIC_SITES"] = f"sites-{pipeline.id}"
    made = sitewatch.run("consumer", "migrate", "--topics", env=pipeline.env)
    assert made.returncode == 0, made.stderr
    consumer = pipeline.consumer()
    consumer.wait_for_line("telling the topic of the sites")
    producer = programs("producer", "--targets-topic", pipeline.env["KAFKA_TOPIC_SITES"], "--dns-servers",
                        f"127.0.0.1:{dns}", env=pipeline.env, inside=space.inside)
    producer.wait_for_line("shards were read", 60)
    api = Api(postgres, programs, pipeline.database).start()
    away = f"http://{PUBLIC}:{site}"
    blocked = {
        "loopback": f"http://127.0.0.1:{site}/", "localhost": f"http://localhost:{site}/",
        "loopback of IPv6": f"http://[::1]:{site}/", "as one number": f"http://2130706433:{site}/",
        "in octal": f"http://0177.0.0.1:{site}/", "any address": f"http://0.0.0.0:{site}/",
        "metadata": "http://169.254.169.254/latest/meta-data", "mapped": "http://[::ffff:10.0.0.1]/",
        "mapped loopback": f"http://[::ffff:127.0.0.1]:{site}/", "private": "http://10.0.0.1/",
        "a name of a private one": "http://inside.example/", "a name of metadata": "http://meta.example/",
        "a name of a mapped one": f"http://mapped.example:{site}/",
        "a redirect to loopback": f"{away}/redirect-to?url=http://127.0.0.1:{site}/",
        "a redirect to metadata": f"{away}/redirect-to?url=http://169.254.169.254/",
        "a redirect to a name of a private one": f"{away}/redirect-to?url=http://inside.example/",
        "a redirect to a mapped one": f"{away}/redirect-to?url=http://[::ffff:10.0.0.1]/",
        "a second redirect": f"{away}/redirect-to?url={away}/redirect-to%3Furl=http://127.0.0.1:{site}/",
    }
    allowed = {
        "a public one": f"{away}/ok", "a redirect that may be": f"{away}/redirect-to?url={away}/ok",
        "a name of a public one": f"http://public.example:{site}/ok",
    }
    for name, url in {**blocked, **allowed}.items():
        api.post(name=name, url=url, seconds=300)
    pipeline.wait_for_rows(len(blocked) + len(allowed), seconds=90)
    found = {row["name"]: (row["status"], row["error_type"]) for row in pipeline.checks()}
    assert found == {**{name: ("down", "blocked_address") for name in blocked},
                     **{name: ("up", None) for name in allowed}}
