"""consumer dead-letters: list, show, replay."""

import base64
import collections
import json
import re

import pytest

from stand import events, sitewatch

BAD = {  # key -> value; in this order in one partition
    b"text": b"this is not JSON",
    b"bytes": b"\x00\xff\x1b[2Jbinary",
    b"later": events.encode(events.make("later", schema=2)),
    b"\xfe\xff": b"a key that is no text",
}


def command(pipeline, *args, status=0, **env):
    done = sitewatch.run("consumer", *args, env={**pipeline.env, **env})
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stdout + done.stderr


def in_json(pipeline, *args):
    return [json.loads(line) for line in command(pipeline, *args, "--output", "json").splitlines()]


@pytest.fixture
def letters(pipeline):
    """The messages of BAD, dead-lettered; the consumer has ended."""
    consumer = pipeline.consumer().wait_until_ready()
    pipeline.kafka.produce(pipeline.success, [
        {"key": key, "value": value, "partition": 1} for key, value in BAD.items()])
    pipeline.wait_for_rows(len(BAD), "dead_letters")
    consumer.terminate()
    return pipeline


def test_list_says_what_there_is_newest_first_a_page_at_a_time(letters):
    listed = in_json(letters, "dead-letters", "list")
    assert [row["offset"] for row in listed] == [3, 2, 1, 0]
    assert {row["topic"] for row in listed} == {letters.success}
    assert [row["reason"] for row in listed][1] == "schema"
    assert [row["payload_bytes"] for row in listed] == [len(v) for v in reversed(BAD.values())]
    assert all("replayed_at" not in row and row["in_topic"] for row in listed)
    page = command(letters, "dead-letters", "list", "--limit", "3")
    before = re.search(r"^older ones: --before (\d+)$", page, re.M).group(1)
    rest = command(letters, "dead-letters", "list", "--limit", "3", "--before", before)
    assert "older" not in rest
    rows = [line.split()[0] for line in (page + rest).splitlines() if re.match(r" *\d", line)]
    assert rows == [str(row["id"]) for row in listed]


def test_list_chooses_by_reason_topic_and_time(letters):
    def offsets(*args):
        return [row["offset"] for row in in_json(letters, "dead-letters", "list", *args)]

    assert offsets("--reason", "schema") == [2]
    assert offsets("--topic", letters.success) == [3, 2, 1, 0]
    assert not offsets("--topic", letters.failure)
    assert offsets("--since", "2020-01-01T00:00:00Z", "--until", "2999-01-01T00:00:00+01:00") == [3, 2, 1, 0]
    assert not offsets("--since", "2999-01-01T00:00:00Z")
    assert not offsets("--until", "2020-01-01T00:00:00Z")
    said = command(letters, "dead-letters", "list", "--since", "tomorrow", status=2)
    assert "--since tomorrow" in said


def test_show_gives_every_byte_and_no_control_character(letters):
    ids = {row["offset"]: str(row["id"]) for row in in_json(letters, "dead-letters", "list")}
    text = command(letters, "dead-letters", "show", ids[0])
    assert "this is not JSON\n" in text and f"{letters.success} [1] offset 0" in text
    assert "key:           text\n" in text and "reason:        json" in text
    binary = command(letters, "dead-letters", "show", ids[1])
    assert "00000000  00 ff 1b 5b 32 4a 62 69 6e 61 72 79" in binary and "...[2Jbinary" in binary
    assert "\x1b" not in binary and "\x00" not in binary
    (row,) = in_json(letters, "dead-letters", "show", ids[1])
    assert base64.b64decode(row["payload_base64"]) == BAD[b"bytes"] and row["key"] == "bytes"
    (row,) = in_json(letters, "dead-letters", "show", ids[3])
    assert row["payload"] == "a key that is no text" and row["payload_cut"] is False
    assert base64.b64decode(row["key_base64"]) == b"\xfe\xff"
    assert "2 bytes\n00000000  fe ff" in command(letters, "dead-letters", "show", ids[3])
    assert "there is no dead letter 0" in command(letters, "dead-letters", "show", "0", status=1)
    assert "not the id" in command(letters, "dead-letters", "show", "first", status=2)


def test_replay_puts_bytes_and_key_back_once(letters):
    said = command(letters, "dead-letters", "replay", "--all")
    assert said == f"{len(BAD)} replayed, 0 refused\n"
    there = collections.Counter((m.key(), m.value()) for m in letters.kafka.read(letters.success))
    assert there == {item: 2 for item in BAD.items()}
    assert all("replayed_at" in row for row in in_json(letters, "dead-letters", "list"))
    assert command(letters, "dead-letters", "replay", "--all") == "0 replayed, 0 refused\n"
    first = str(in_json(letters, "dead-letters", "list", "--reason", "schema")[0]["id"])
    said = command(letters, "dead-letters", "replay", first)
    assert f"{first}: replayed before" in said and "0 replayed, 0 refused" in said
    assert "1 replayed" in command(letters, "dead-letters", "replay", first, "--force")
    assert "1 replayed" in command(letters, "dead-letters", "replay", "--force", "--reason", "schema")
    assert sum(letters.kafka.end_offsets(letters.success).values()) == 2 * len(BAD) + 2


def test_replay_wants_to_know_which(letters):
    for args, words in (((), "which?"), (("1", "--all"), "either"), (("1x",), "not the id"),
                        (("--until", "never"), "--until never")):
        assert words in command(letters, "dead-letters", "replay", *args, status=2)
    said = command(letters, "dead-letters", "replay", "999", status=1)
    assert "999: not replayed: there is none" in said and "0 replayed, 1 refused" in said
    assert sum(letters.kafka.end_offsets(letters.success).values()) == len(BAD)


def test_letters_that_come_back_while_a_consumer_runs_do_not_keep_a_replay_busy(letters):
    consumer = letters.consumer().wait_until_ready()
    assert command(letters, "dead-letters", "replay", "--all") == f"{len(BAD)} replayed, 0 refused\n"
    letters.wait_for_rows(2 * len(BAD), "dead_letters")
    consumer.terminate()
    listed = in_json(letters, "dead-letters", "list")
    assert len(listed) == 2 * len(BAD)
    assert sum("replayed_at" in row for row in listed) == len(BAD)


def test_an_event_refused_for_a_full_table_of_sites_is_stored_by_a_replay(pipeline):
    known = events.encode(events.make("known"))
    late = events.encode(events.make("late"))
    consumer = pipeline.consumer("--max-auto-sites", "1").wait_until_ready()
    pipeline.kafka.produce(pipeline.success, [{"key": "known", "value": known}])
    pipeline.wait_for_rows(1)
    pipeline.kafka.produce(pipeline.success, [{"key": "late", "value": late}])
    pipeline.wait_for_rows(1, "dead_letters")
    consumer.terminate()
    consumer = pipeline.consumer().wait_until_ready()
    for _ in range(2):  # the repeat is one row
        command(pipeline, "dead-letters", "replay", "--reason", "unknown_site", "--force")
        pipeline.wait_for_rows(2)
        pipeline.wait_until_stored()
    consumer.terminate()
    assert sorted(row["name"] for row in pipeline.checks()) == ["known", "late"]
    assert pipeline.count("dead_letters") == 1


@pytest.mark.own_servers
def test_what_is_longer_than_the_table_keeps_comes_from_the_dead_letter_topic(pipeline):
    values = {b"long": b"[" + b"x" * 200_000, b"longer": b"{" + b"y" * 500_000, b"short": b"["}
    huge = b"z" * 2_000_000
    consumer = pipeline.consumer().wait_until_ready()
    pipeline.kafka.produce(pipeline.success, [
        {"key": key, "value": value, "partition": 2} for key, value in values.items()])
    # Of another origin, with the same length: not to be taken for the first one.
    pipeline.kafka.produce(pipeline.failure, [{"key": "other", "value": b"]" + b"x" * 200_000,
                                               "partition": 2}])
    pipeline.kafka.produce(pipeline.success, [{"key": "huge", "value": huge}])
    pipeline.wait_for_rows(5, "dead_letters")
    consumer.terminate()
    said = command(pipeline, "dead-letters", "replay", "--topic", pipeline.success, status=1)
    assert "3 replayed, 1 refused" in said and "the dead-letter topic refused it" in said
    there = collections.Counter((m.key(), m.value()) for m in pipeline.kafka.read(pipeline.success))
    assert there == {**{item: 2 for item in values.items()}, (b"huge", huge): 1}
    pipeline.kafka.delete_records(pipeline.dead_letters, 0, pipeline.kafka.end_offsets(pipeline.dead_letters)[0])
    said = command(pipeline, "dead-letters", "replay", "--topic", pipeline.failure, status=1)
    assert "0 replayed, 1 refused" in said and "the dead-letter topic has it no more" in said


def test_a_replay_of_many_goes_in_portions(pipeline):
    count = 450
    consumer = pipeline.consumer().wait_until_ready()
    pipeline.kafka.produce(pipeline.success, [{"key": f"k{i}", "value": f"bad {i}"} for i in range(count)])
    pipeline.wait_for_rows(count, "dead_letters")
    consumer.terminate()
    assert command(pipeline, "dead-letters", "replay", "--all") == f"{count} replayed, 0 refused\n"
    back = [m.value() for m in pipeline.kafka.read(pipeline.success)]
    assert len(back) == 2 * count and len(set(back)) == count


def test_a_topic_that_is_gone_refuses_its_letters_and_an_absent_broker_changes_nothing(letters):
    letters.query("UPDATE dead_letters SET topic = 'gone-' || topic WHERE reason = 'schema'")
    said = command(letters, "dead-letters", "replay", "--reason", "schema", status=1)
    assert re.search(r"\d+: not replayed: topic gone-", said) and "0 replayed, 1 refused" in said
    said = command(letters, "dead-letters", "replay", "--all", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
                   KAFKA_PROPERTIES="message.timeout.ms=1500", status=1)
    assert "0 replayed, 0 refused" in said
    assert not any("replayed_at" in row for row in in_json(letters, "dead-letters", "list"))
