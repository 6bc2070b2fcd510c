"""Secrets of sites: written, never shown, sealed in the database and on the way to the topic."""

import base64
import json

import pytest

from stand import sitewatch

KEY = base64.b64encode(b"k" * 32).decode()
NEXT_KEY = base64.b64encode(b"n" * 32).decode()
SECRETS = {
    "password": {"username": "u", "password": "hunter2-password"},
    "bearer_token": {"bearer_token": "hunter2-token"},
    "headers": {"headers": ["X-Shop: 7", "X-Api-Key: hunter2-key", "Cookie: hunter2-cookie"]},
    "proxy": {"proxy": "http://u:hunter2@proxy.example:3128", "allow_private": True},
}


@pytest.fixture
def sealing(api_database):
    return api_database.start("--api-allow-options", "proxy,allow_private", "--log-level", "debug", SITES_SECRET_KEY=KEY)


def stored(api):
    return json.dumps(api.query("SELECT *, site_message(w) AS message FROM websites w"), default=str)


@pytest.mark.parametrize("option", SECRETS)
def test_a_secret_is_kept_sealed_and_shown_to_nobody(sealing, option):
    given = {"url": "https://example.com/", **SECRETS[option]}
    made = sealing.ask("POST", "/websites", given)
    assert made.status == 201 and made.json()["secrets"] == [option]
    path = f"/websites/{made.json()['id']}"
    answers = [made, *(sealing.ask("GET", p, token=t) for p in (path, "/websites", "/website?keyword=e")
                       for t in (sealing.read, sealing.write))]
    assert all(b"hunter2" not in a.body and a.status < 300 for a in answers)
    assert "sealed" not in made.json() and option not in ({} if option == "headers" else made.json())
    assert "hunter2" not in stored(sealing)
    message = json.loads(sealing.query("SELECT site_message(w) AS m FROM websites w")[0]["m"])
    assert list(message["sealed"]) == [option] and message["sealed"][option].startswith("1.")

    before = stored(sealing)
    read = sealing.ask("GET", path).json()
    assert sealing.ask("PUT", path, read).json()["version"] == 1
    assert stored(sealing) == before, "what was read and sent back is the same site, with its secret"
    assert sealing.ask("PATCH", path, {"seconds": 30}).json()["secrets"] == [option]
    moved = sealing.ask("PATCH", path, {"url": "https://attacker.example/"})
    assert moved.status == 422 and moved.pointers() == [f"/{option}"]
    assert sealing.ask("PUT", path, {**read, "url": "https://example.com:444/"}).status == 422
    dropped = sealing.ask("PUT", path, {**read, option: None, "url": "https://elsewhere.example/"})
    assert dropped.status == 200 and "secrets" not in dropped.json()
    assert "sealed" not in stored(sealing)
    assert not sealing.program.has_line("hunter2")


def test_a_secret_in_the_url_is_one_too(sealing):
    made = sealing.ask("POST", "/websites", {"url": "https://u:hunter2@example.com/"})
    assert made.status == 201 and made.json()["secrets"] == ["password"]
    assert made.json()["url"] == "https://example.com/" and made.json()["username"] == "u"
    assert "hunter2" not in stored(sealing)


def test_without_a_key_no_secret_is_taken(api):
    for option, given in SECRETS.items():
        if option != "proxy":  # which is refused for itself
            refused = api.ask("POST", "/websites", {"url": "https://example.com/", **given})
            assert refused.status == 403 and refused.pointers() == [f"/{option}"]
            assert "sites-secret-key" in refused.detail() and b"hunter2" not in refused.body
    assert api.query("SELECT count(*) AS n FROM websites")[0]["n"] == 0


def test_keys_are_rotated(api_database):
    api = api_database.start(SITES_SECRET_KEY=KEY)
    site = api.post(url="https://example.com/", bearer_token="hunter2")
    path = f"/websites/{site['id']}"
    api.program.terminate()

    api.start(SITES_SECRET_KEY=NEXT_KEY)
    lost = api.ask("PATCH", path, {"seconds": 30})
    assert lost.status == 409 and lost.pointers() == ["/bearer_token"] and "which is not set" in lost.detail()
    api.program.terminate()
    api.start(SITES_SECRET_KEY=f"{NEXT_KEY},{KEY}")
    assert api.ask("PATCH", path, {}).json()["version"] == 2
    api.program.terminate()
    api.start(SITES_SECRET_KEY=NEXT_KEY)
    assert api.ask("PATCH", path, {"seconds": 30}).json()["secrets"] == ["bearer_token"]

    wrong = sitewatch.run("api", env={**api.env, "SITES_SECRET_KEY": "hunter2"})
    assert wrong.returncode == 2 and "sites-secret-key: want up to 8 keys of 32 bytes" in wrong.stderr
    assert "hunter2" not in wrong.stderr


def test_seeding_seals_too_and_twice_changes_nothing(api_database, tmp_path):
    targets = tmp_path / "sites.conf"
    targets.write_text('targets = ( { url = "https://a.example/"; username = "u"; password = "hunter2"; },'
                       ' { url = "https://b.example/"; headers = [ "X-Api-Key: hunter2" ]; } );')
    env = {**api_database.env, "SITES_SECRET_KEY": KEY}

    def seed(**more):
        done = sitewatch.run("consumer", "seed", targets, env={**env, **more})
        assert done.returncode == 0, done.stderr
        return done

    assert seed().stdout == "2 inserted, 0 updated, 0 unchanged\n"
    assert seed().stdout == "0 inserted, 0 updated, 2 unchanged\n"
    assert "hunter2" not in stored(api_database)
    without = seed(SITES_SECRET_KEY="")
    assert "secrets of sites are left out" in without.stderr and "sites=2" in without.stderr
    assert "sealed" not in stored(api_database)
    key_file = tmp_path / "key"
    key_file.write_text(KEY + "\n")
    assert seed(SITES_SECRET_KEY="", SITES_SECRET_KEY_FILE=str(key_file)).stdout == "0 inserted, 2 updated, 0 unchanged\n"
    api = api_database.start(SITES_SECRET_KEY_FILE=str(key_file))
    assert [s["secrets"] for s in api.ask("GET", "/websites").json()["items"]] == [["password"], ["headers"]]
