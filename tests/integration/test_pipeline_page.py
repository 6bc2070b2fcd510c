"""GET /pipeline and /dead-letters: what an operator sees while parts run, stop and fail."""

import base64
import signal

import pytest

from stand import process, sitewatch
from stand.api import store_checks


def look(api):
    answer = api.ask("GET", "/pipeline", token=api.read)
    assert answer.status == 200, answer.body
    return answer.json()


def item(found, part, what, subject=None):
    """(state, value, why) of an item, or None."""
    for row in found["items"]:
        if (row["part"], row["what"]) == (part, what) and subject in (None, row["subject"]):
            return row["state"], row["value"], row["why"]
    return None


def wait_for_item(api, part, what, state, words="", subject=None, seconds=40):
    def there():
        seen = item(look(api), part, what, subject)
        return seen if seen and state in (None, seen[0]) and words in seen[2] else None
    try:
        return process.wait_for(there, f"{what} of {part} to be {state} ({words})", seconds, 0.3)
    except process.Timeout as error:
        raise process.Timeout(f"{error}; {look(api)}") from None


def letter(api, reason="json", payload=b"{", key=b"shop", age="0 s", topic="checks-success"):
    return api.query(
        'INSERT INTO dead_letters (received_at, message_time, "offset", payload_bytes, partition, in_topic, topic,'
        " reason, detail, key, payload, payload_sha256) VALUES (now() - %s::interval, now(), 7, %s, 3, true, %s, %s,"
        " 'at byte 1', %s, %s, sha256(%s)) RETURNING id",
        age, len(payload or b""), topic, reason, key, payload, payload or b"")[0]["id"]


def test_without_programs_the_database_is_told_of(api):
    site = api.post(url="https://example.com/", seconds=60)
    store_checks(api, site["id"], ["up"])
    found = look(api)
    assert item(found, "program", "answers")[0] == "unknown"
    assert item(found, "location", "checks stored", "here")[0] == "well"
    assert "0 of 1 sites" in item(found, "location", "checks stored")[2]
    assert "are of host" in item(found, "location", "checks stored")[2]
    assert [item(found, "database", what)[0] for what in ("dead letters", "rollups")] == ["well"] * 2
    assert found["state"] in ("unknown", "not_well") and found["at"].endswith("Z")
    api.query("UPDATE site_state SET last_slot = now() - interval '1 hour' RETURNING 1")
    letter(api)
    api.query("UPDATE site_outbox SET queued_at = now() - interval '2 minutes' RETURNING 1")
    wait_for_item(api, "location", "checks stored", "not_well", "1 of 1 sites")
    found = look(api)
    assert item(found, "database", "dead letters")[::2] == (
        "not_well", "1 messages were no valid events in the last hour and are not put back: 1 json; well at 0")
    assert item(found, "database", "outbox")[0] == "not_well" and found["state"] == "not_well"
    shown = sitewatch.parse_metrics(api.ask("GET", "/metrics").body.decode())
    assert shown['sitewatch_pipeline_parts{state="not_well"}'] == 3
    assert shown["sitewatch_pipeline_dead_letters"] == 1
    assert 3500 < shown["sitewatch_pipeline_check_age_seconds"] < 3700
    assert api.ask("GET", "/pipeline", headers={"Authorization": None}).status == 401


def test_a_consumer_and_a_producer_are_told_of_as_they_run_and_stop(api_database, pipeline, sited):
    api = api_database
    consumer = pipeline.consumer(POSTGRES_DSN=api.env["POSTGRES_DSN"]).wait_until_ready()
    producer = pipeline.producer("--url", sited.url("/ok"), "--seconds", "1").wait_until_ready()
    addresses = [p.admin_url("").removeprefix("http://") for p in (producer, consumer)]
    nobody = f"127.0.0.1:{process.free_port()}"
    api.start("--api-programs", ",".join([*addresses, nobody]))

    pipeline.kafka.produce(pipeline.success, [{"value": b"{", "key": b"x"}])
    # How late checks begin is up to the machine.
    wait_for_item(api, "producer", "schedule lag", None, "their slot in", addresses[0])
    wait_for_item(api, "consumer", "rows", "well", "partitions", addresses[1])
    wait_for_item(api, "group", "messages stored", "well", "were stored in")
    found = look(api)
    assert item(found, "producer", "ready", addresses[0])[0] == item(found, "consumer", "ready", addresses[1])[0] == "well"
    assert item(found, "consumer", "consumer lag", addresses[1])[0] == "well"
    assert item(found, "location", "checks stored", "local")[0] == "well"
    assert item(found, "program", "answers", nobody)[::2] == (
        "not_well", item(found, "program", "answers", nobody)[2]) and found["state"] == "not_well"

    assert "1 messages were no valid events" in item(found, "consumer", "dead letters", addresses[1])[2]
    assert item(found, "database", "dead letters")[0] == "not_well"
    assert "1 json" in item(found, "database", "dead letters")[2]

    consumer.terminate()
    producer.signal(signal.SIGSTOP)  # it does not answer, and holds nobody up for long
    try:
        wait_for_item(api, "program", "answers", "not_well", "", addresses[0])
        wait_for_item(api, "program", "answers", "not_well", "onnect", addresses[1])
    finally:
        producer.signal(signal.SIGCONT)
    wait_for_item(api, "producer", "ready", "well", "", addresses[0])
    producer.terminate()


def test_looks_are_shared_and_not_taken_while_nobody_asks(api):
    for _ in range(5):
        look(api)
    assert len({look(api)["at"] for _ in range(5)}) == 1


def test_dead_letters_are_listed_and_shown(api):
    assert api.ask("GET", "/dead-letters").json() == {"items": [], "size": 50}
    first = letter(api, payload=b'<script>alert("x")</script>\n\x1b[31m', key=None)
    second = letter(api, reason="text", payload=b"\xff\x00\xfe", key=b"\x00", age="2 hours", topic="checks-failure")
    third = letter(api, reason="schema", payload=None)
    page = api.ask("GET", "/dead-letters?size=2", token=api.read).json()
    assert [d["id"] for d in page["items"]] == [third, second] and page["next"] == second
    rest = api.ask("GET", f"/dead-letters?before={page['next']}").json()
    assert [d["id"] for d in rest["items"]] == [first] and "next" not in rest
    assert [d["id"] for d in api.ask("GET", "/dead-letters?reason=text").json()["items"]] == [second]
    assert [d["id"] for d in api.ask("GET", "/dead-letters?topic=checks-failure").json()["items"]] == [second]
    assert "payload" not in page["items"][0] and page["items"][0]["detail"] == "at byte 1"

    text = api.ask("GET", f"/dead-letters/{first}", token=api.read).json()
    assert text["payload"] == '<script>alert("x")</script>\n\x1b[31m' and "key" not in text
    assert len(text["payload_sha256"]) == 64 and text["offset"] == 7 and text["partition"] == 3
    binary = api.ask("GET", f"/dead-letters/{second}").json()
    assert base64.b64decode(binary["payload_base64"]) == b"\xff\x00\xfe" and "payload" not in binary
    assert base64.b64decode(binary["key_base64"]) == b"\x00" and "key" not in binary
    tombstone = api.ask("GET", f"/dead-letters/{third}").json()
    assert not {"payload", "payload_base64"} & set(tombstone) and tombstone["key"] == "shop"
    long = letter(api, payload=b"\xff" * 65536)
    assert base64.b64decode(api.ask("GET", f"/dead-letters/{long}").json()["payload_base64"]) == b"\xff" * 65536
    assert api.ask("GET", "/dead-letters/999").status == 404
    assert api.ask("GET", "/dead-letters/x").status == 404
    assert api.ask("GET", "/dead-letters?size=201").pointers() == ["size"]
    assert api.ask("GET", "/dead-letters?before=0").pointers() == ["before"]
    assert api.ask("GET", f"/dead-letters/{first}", headers={"Authorization": None}).status == 401


@pytest.mark.parametrize("listed", ["nowhere", "a:1 http://b:1", "a:70000"])
def test_a_list_of_programs_that_is_wrong_is_refused(api_database, listed):
    done = sitewatch.run("api", "--api-programs", listed, env=api_database.env)
    assert done.returncode == 2 and "api-programs" in done.stderr and "HOST:PORT" in done.stderr
