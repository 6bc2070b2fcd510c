"""What must be true after a round, whatever was done to the programs in it (docs/delivery.md).

The functions compare what Kafka holds with what Postgres holds, and return what is wrong, as lines.
"""

import datetime
import json

import load

SHOWN_MAX = 3


def _some(things):
    things = sorted(things, key=str)
    more = f" and {len(things) - SHOWN_MAX} more" if len(things) > SHOWN_MAX else ""
    return ", ".join(map(str, things[:SHOWN_MAX])) + more


def key_of(event):
    """What makes a check one row."""
    slot = datetime.datetime.fromisoformat(event["slot"].replace("Z", "+00:00"))
    return event["site"]["name"], event["location"], slot, event["attempt"]


class Log:
    """The messages of both topics of checks, as Kafka holds them."""

    def __init__(self, messages):
        self.numbers = set()
        self.keys = set()     # of what must be stored
        self.letters = {}     # (topic, partition, offset) -> payload, of what must not
        self.refused = set()  # those of them that Postgres refuses
        self.duplicates = 0
        for message in messages:
            headers = dict(message.headers())
            self.numbers.add(int(headers["n"]))
            place = message.topic(), message.partition(), message.offset()
            if headers["kind"] == load.GOOD:
                key = key_of(json.loads(message.value()))
                self.duplicates += key in self.keys
                self.keys.add(key)
            else:
                self.letters[place] = message.value()
                if headers["kind"] == load.REFUSE:
                    self.refused.add(place)


def acknowledged_is_in_kafka(acknowledged, log):
    """Of the stand itself: what the other checks take Kafka's word for."""
    lost = acknowledged - log.numbers
    return [f"Kafka lost what it acknowledged: numbers {_some(lost)}"] if lost else []


def stored_is_acknowledged(log, rows):
    """rows: (site, location, slot, attempt) of checks."""
    stored = set(rows)
    wrong = []
    if log.keys - stored:
        wrong.append(f"{len(log.keys - stored)} checks are not stored: {_some(log.keys - stored)}")
    if stored - log.keys:
        wrong.append(f"{len(stored - log.keys)} rows were never sent: {_some(stored - log.keys)}")
    if len(rows) != len(stored):
        wrong.append(f"{len(rows) - len(stored)} rows are stored twice")
    return wrong


def letters_are_right(log, table, topic):
    """table: rows of dead_letters. topic: (place, payload) of the dead-letter topic's messages."""
    wrong = []
    places = [(r["topic"], r["partition"], r["offset"]) for r in table]
    for name, found in (("table", set(places)), ("topic", {place for place, _ in topic})):
        if found != set(log.letters):
            wrong.append(f"dead letters, {name}: missing {_some(set(log.letters) - found)}; "
                         f"too many {_some(found - set(log.letters))}")
    if len(places) != len(set(places)):
        wrong.append(f"{len(places) - len(set(places))} dead letters are in the table twice")
    wrong += [f"the dead letter {place} was changed" for place, payload in topic
              if place not in log.refused and log.letters.get(place) != payload]
    by_postgres = {p for p, r in zip(places, table) if r["reason"].startswith("sqlstate_")}
    if by_postgres != log.refused:
        wrong.append(f"refused by Postgres: {_some(by_postgres)}, not {_some(log.refused)}")
    return wrong


def offsets_are_ends(ends, stored, moves_back):
    """ends, stored: (topic, partition) -> offset. moves_back: what the trigger saw."""
    wrong = [f"the offset of {at} is {stored.get(at)}, its end is {end}"
             for at, end in ends.items() if end > 0 and stored.get(at) != end]
    return wrong + [f"an offset moved back: {move}" for move in moves_back]


def _fold(checks, failures_max):
    """State and incidents of one site and location from its checks in the order of their slots."""
    state = {"status": None, "since": None, "last_slot": None, "failures_in_a_row": 0,
             "incident_slot": None}
    incidents = []
    for check in checks:
        if check["status"] == "down":
            state["failures_in_a_row"] += 1
            if state["incident_slot"] is None and state["failures_in_a_row"] >= failures_max:
                state["incident_slot"] = check["slot"]
                incidents.append({"opened_slot": check["slot"], "closed_slot": None,
                                  "error_type": check["error_type"],
                                  "error_message": check["error_message"]})
            if state["incident_slot"] is not None:
                incidents[-1]["checks"] = state["failures_in_a_row"]
        elif check["status"] != "unknown":
            if state["incident_slot"] is not None:
                incidents[-1]["closed_slot"] = check["slot"]
            state.update(failures_in_a_row=0, incident_slot=None)
        if state["status"] != check["status"]:
            state["since"] = check["slot"]
        state.update(status=check["status"], last_slot=check["slot"])
    return state, incidents


def state_is_what_rows_say(checks, states, incidents, failures):
    """All are rows with website_id and location_id; failures: website_id -> the site's option."""
    counted = {}
    for check in sorted(checks, key=lambda c: (c["slot"], c["attempt"])):
        if check["final"]:
            of_key = counted.setdefault((check["website_id"], check["location_id"]), {})
            of_key.setdefault(check["slot"], check)  # the first final attempt
    wrong = []
    told = {(s["website_id"], s["location_id"]): s for s in states if s["last_slot"] is not None}
    open_or_closed = {}
    for incident in incidents:
        if not incident["withdrawn"]:
            key = incident["website_id"], incident["location_id"]
            open_or_closed.setdefault(key, []).append(incident)
    if set(told) != set(counted):
        wrong.append(f"state of {_some(set(told) ^ set(counted))} is there without rows, or missing")
    for key, of_key in counted.items():
        state, found = _fold(of_key.values(), failures.get(key[0], 1))
        stored = {name: told[key][name] for name in state} if key in told else None
        if stored != state:
            wrong.append(f"state of {key} is {stored}, its rows say {state}")
        rows = [{name: row[name] for name in ("opened_slot", "closed_slot", "error_type",
                                              "error_message", "checks")}
                for row in sorted(open_or_closed.get(key, []), key=lambda r: r["opened_slot"])]
        if rows != found:
            wrong.append(f"incidents of {key} are {rows}, its rows say {found}")
    return wrong


def _fold_site(votes, quorum):
    """Incidents of a site from those of its locations: (opened, ended or None, its end is stale,
    incident)."""
    found = []
    for t in sorted({v[0] for v in votes} | {v[1] for v in votes if v[1] is not None}):
        down = [v for v in votes if v[0] <= t and (v[1] is None or v[1] > t)]
        is_open = bool(found) and found[-1]["closed_slot"] is None
        if not is_open and len(down) >= quorum:
            cause = max(down, key=lambda v: (v[0], -v[3]["location_id"]))[3]
            found.append({"opened_slot": t, "closed_slot": None, "closed_by": None,
                          "location_ids": sorted(v[3]["location_id"] for v in down),
                          "error_type": cause["error_type"],
                          "error_message": cause["error_message"]})
        elif is_open and len(down) < quorum:
            stale = all(v[2] for v in votes if v[1] == t)
            found[-1].update(closed_slot=t, closed_by="stale" if stale else "up")
    return found


def sites_are_what_locations_say(states, incidents, overall, site_incidents, quorums):
    """overall: rows of site_overall. quorums: website_id -> the site's option. The rest as above; a
    location that the consumer found stale is taken at its word, which a clock has a part in."""
    silent = {(s["website_id"], s["incident_slot"], s["location_id"]): s["silent_slot"]
              for s in states if s["silent_slot"] is not None}
    votes = {}
    for i in incidents:
        if not i["withdrawn"]:
            stale = silent.get((i["website_id"], i["opened_slot"], i["location_id"]))
            votes.setdefault(i["website_id"], []).append(
                (i["opened_slot"], i["closed_slot"] or stale, i["closed_slot"] is None, i))
    said = {}
    for row in site_incidents:
        if not row["withdrawn"]:
            said.setdefault(row["website_id"], []).append(row)
    is_open = {row["website_id"]: row["incident_slot"] for row in overall}
    wrong = []
    for site in sorted(set(votes) | set(said) | set(is_open)):
        found = _fold_site(votes.get(site, []), quorums.get(site, 1))
        rows = [{name: row[name] for name in ("opened_slot", "closed_slot", "closed_by",
                                              "location_ids", "error_type", "error_message")}
                for row in sorted(said.get(site, []), key=lambda r: r["opened_slot"])]
        if rows != found:
            wrong.append(f"incidents of site {site} are {rows}, its locations say {found}")
        lasts = found[-1]["opened_slot"] if found and found[-1]["closed_slot"] is None else None
        if is_open.get(site) != lasts:
            wrong.append(f"the open incident of site {site} is {is_open.get(site)}, not {lasts}")
    return wrong
