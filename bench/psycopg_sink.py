"""A sink as it is written in Python: messages from Kafka, json.loads, COPY in batches of 5,000 with
psycopg 3, then the offsets committed to Kafka. Each row at least once.

    psycopg_sink.py BROKER GROUP DSN TOPIC...
"""

import json
import sys

import confluent_kafka
import psycopg

BATCH = 5000
COPY = "COPY psycopg_checks FROM STDIN"


def row(event):
    http, times = event.get("http", {}), event.get("timing_us", {})
    error = event.get("error", {})
    return (event["site"]["name"], event["location"], event["status"], event["slot"],
            event["lag_us"], event["attempt"], event["final"], http.get("status_code"),
            http.get("body_bytes"), times.get("dns"), times.get("connect"), times.get("tls"),
            times.get("wait"), times.get("transfer"), times.get("total"), event.get("peer"),
            event["observer"], event.get("pattern", {}).get("matched"), error.get("type"),
            error.get("message"))


def main():
    broker, group, dsn, *topics = sys.argv[1:]
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": broker, "group.id": group, "auto.offset.reset": "earliest",
        "enable.auto.commit": False})
    consumer.subscribe(topics)
    with psycopg.connect(dsn) as connection:
        while True:
            messages = [m for m in consumer.consume(BATCH, 0.5) if m.error() is None]
            if not messages:
                continue
            with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                for message in messages:
                    copy.write_row(row(json.loads(message.value())))
            connection.commit()
            consumer.commit(asynchronous=True)


if __name__ == "__main__":
    main()
