"""Events as another client would make them, and what any event of ours must fulfil."""

import datetime
import json
import re
import uuid

STATUSES = ("up", "degraded", "down", "unknown")
PHASES = ("dns", "connect", "tls", "wait", "transfer")


def text_of(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def make(name, slot=None, **changes):
    """A valid event of a site that is up; `changes` replace members."""
    slot = slot or datetime.datetime.now(datetime.timezone.utc)
    slot = slot.replace(microsecond=slot.microsecond // 1000 * 1000)
    slot_ms = int(slot.timestamp() * 1000)
    event = {
        "schema": 1,
        "id": "",
        "site": {"name": name, "url": f"http://{name}.example/"},
        "location": "elsewhere",
        "observer": "another-client",
        "slot": text_of(slot),
        "time": text_of(slot),
        "lag_us": 120,
        "attempt": 1,
        "final": True,
        "interval_s": 5,
        "status": "up",
        "http": {"status_code": 200, "version": "1.1", "redirects": 0, "body_bytes": 1024},
        "timing_us": {"dns": 10, "connect": 200, "wait": 900, "transfer": 90, "total": 1200},
        "peer": "127.0.0.1",
    }
    event.update(changes)
    if not event["id"]:
        event["id"] = str(uuid.uuid5(
            uuid.NAMESPACE_URL, f"{name}|{event['location']}|{slot_ms}|{event['attempt']}"))
    return event


def encode(event):
    return json.dumps(event, ensure_ascii=False).encode()


def check(event):
    """Assert what docs/events.md promises of an event."""
    required = {"schema", "id", "site", "location", "observer", "slot", "time", "lag_us",
                "attempt", "final", "interval_s", "status"}
    assert required <= set(event), required - set(event)
    assert set(event) <= required | {"http", "timing_us", "peer", "tls", "pattern", "error"}
    assert event["schema"] == 1 and event["status"] in STATUSES and event["site"]["url"]
    slot = datetime.datetime.fromisoformat(event["slot"].replace("Z", "+00:00"))
    started = datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["slot"])
    assert abs((started - slot).total_seconds() - event["lag_us"] / 1e6) < 0.002
    key = f"{event['site']['name']}|{event['location']}|{round(slot.timestamp() * 1000)}|{event['attempt']}"
    assert event["id"] == str(uuid.uuid5(uuid.NAMESPACE_URL, key))
    assert ("error" in event) == (event["status"] in ("down", "unknown"))
    timing = event.get("timing_us", {})
    assert all(isinstance(v, int) and v >= 0 for v in timing.values())
    if "total" in timing:
        assert sum(timing.get(phase, 0) for phase in PHASES) <= timing["total"] + 5000


def headers_of(message):
    return {name: value.decode() for name, value in message.headers() or []}
