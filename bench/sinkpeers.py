"""What the peers of bench/sink are told, and the tables they write. Each gets what its
documentation says for throughput, one writer, and a table with one index on (name, time)."""

import json

# ---- Telegraf ----

_TEXTS = (("location", "location"), ("status", "status"), ("observer", "observer"),
          ("peer", "peer"), ("error_type", "error.type"), ("error_message", "error.message"))
_NUMBERS = (("lag_us", "lag_us"), ("attempt", "attempt"), ("http_status", "http.status_code"),
            ("body_bytes", "http.body_bytes"),
            *((f"{phase}_us", f"timing_us.{phase}")
              for phase in ("dns", "connect", "tls", "wait", "transfer", "total")))
_BOOLS = (("final", "final"), ("matched", "pattern.matched"))


def _fields():
    parts = []
    for kind, fields in (("string", _TEXTS), ("int", _NUMBERS), ("bool", _BOOLS)):
        for name, path in fields:
            parts.append('    [[inputs.kafka_consumer.json_v2.field]]\n'
                         f'      path = "{path}"\n      rename = "{name}"\n      type = "{kind}"\n'
                         '      optional = true\n')
    return "".join(parts)


TELEGRAF = """
[agent]
  interval = "1s"
  flush_interval = "100ms"
  metric_batch_size = 5000
  metric_buffer_limit = 100000
  omit_hostname = true
[[inputs.kafka_consumer]]
  brokers = ["{broker}"]
  kafka_version = "3.6.0"
  topics = [{topics}]
  consumer_group = "{group}"
  offset = "oldest"
  max_undelivered_messages = 50000
  data_format = "json_v2"
  [[inputs.kafka_consumer.json_v2]]
    measurement_name = "telegraf_checks"
    timestamp_path = "slot"
    timestamp_format = "rfc3339"
    [[inputs.kafka_consumer.json_v2.tag]]
      path = "site.name"
      rename = "name"
""" + _fields() + """
[[outputs.postgresql]]
  connection = "{dsn}"
  timestamp_column_type = "timestamp with time zone"
"""
TELEGRAF_TABLE = (
    "CREATE TABLE telegraf_checks (time timestamptz, name text, "
    + ", ".join(f"{name} text" for name, _ in _TEXTS) + ", "
    + ", ".join(f"{name} bigint" for name, _ in _NUMBERS) + ", "
    + ", ".join(f"{name} boolean" for name, _ in _BOOLS)
    + "); CREATE INDEX ON telegraf_checks (name, time)")

# ---- Debezium's JDBC sink on Kafka Connect ----

CONNECT_WORKER = """
bootstrap.servers={broker}
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=true
value.converter.schema.content={schema}
offset.storage.file.filename={offsets}
offset.flush.interval.ms=5000
listeners=http://127.0.0.1:{port}
plugin.discovery=service_load
"""
DEBEZIUM = """
name=debezium-{run}
connector.class=io.debezium.connector.jdbc.JdbcSinkConnector
topics={topics}
tasks.max=1
connection.url=jdbc:postgresql://127.0.0.1:{port}/{database}?reWriteBatchedInserts=true
connection.username=postgres
connection.password=none
insert.mode=insert
primary.key.mode=none
schema.evolution=none
collection.name.format=debezium_checks
batch.size=5000
consumer.override.max.poll.records=5000
consumer.override.auto.offset.reset=earliest
transforms=flat
transforms.flat.type=org.apache.kafka.connect.transforms.Flatten$Value
transforms.flat.delimiter=_
"""
_CONNECT = {  # member -> type, or the members of an object; what is not named is not stored
    "id": "string", "site": {"name": "string", "url": "string"}, "location": "string",
    "observer": "string", "slot": "string", "time": "string", "lag_us": "int64",
    "attempt": "int32", "final": "boolean", "interval_s": "int32", "status": "string",
    "http": {"status_code": "int32", "version": "string", "body_bytes": "int64"},
    "timing_us": {phase: "int64" for phase in ("dns", "connect", "tls", "wait", "transfer", "total")},
    "peer": "string", "pattern": {"matched": "boolean"},
    "error": {"type": "string", "message": "string"}}
_SQL = {"string": "text", "int32": "integer", "int64": "bigint", "boolean": "boolean"}


def _struct(members):
    return {"type": "struct", "optional": True, "fields": [
        {"field": name, **(_struct(kind) if isinstance(kind, dict)
                           else {"type": kind, "optional": True})}
        for name, kind in members.items()]}


def connect_schema():
    return json.dumps(_struct(_CONNECT), separators=(",", ":"))


def _flat(members, prefix=""):
    for name, kind in members.items():
        if isinstance(kind, dict):
            yield from _flat(kind, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", _SQL[kind]


DEBEZIUM_TABLE = ("CREATE TABLE debezium_checks ("
                  + ", ".join(f"{name} {kind}" for name, kind in _flat(_CONNECT))
                  + "); CREATE INDEX ON debezium_checks (site_name, slot)")

# ---- psycopg, and rsyslog ----

PSYCOPG_TABLE = (
    "CREATE TABLE psycopg_checks (name text, location text, status text, slot timestamptz, "
    "lag_us bigint, attempt integer, final boolean, http_status integer, body_bytes bigint, "
    "dns_us bigint, connect_us bigint, tls_us bigint, wait_us bigint, transfer_us bigint, "
    "total_us bigint, peer inet, observer text, matched boolean, error_type text, "
    "error_message text); CREATE INDEX ON psycopg_checks (name, slot)")
RSYSLOG_TABLE = ("CREATE TABLE rsyslog_checks (name text, location text, status text, "
                 "slot timestamptz, lag_us bigint, http_status integer, total_us bigint, "
                 "peer text, observer text); CREATE INDEX ON rsyslog_checks (name, slot)")
_RSYSLOG = ("site!name", "location", "status", "slot", "lag_us", "http!status_code",
            "timing_us!total", "peer", "observer")


def rsyslog_conf(broker, topics, group, dsn, directory):
    values = "', '".join(f"%$!{path}%" for path in _RSYSLOG)
    inputs = "".join(
        f'input(type="imkafka" topic="{topic}" broker=["{broker}"] consumergroup="{group}" '
        'confParam=["auto.offset.reset=earliest"] ruleset="store")\n' for topic in topics)
    return f"""
global(workDirectory="{directory}" maxMessageSize="64k")
module(load="imkafka")
module(load="mmjsonparse")
module(load="ompgsql")
template(name="row" type="string" option.stdsql="on"
  string="INSERT INTO rsyslog_checks VALUES ('{values}')")
ruleset(name="store") {{
  action(type="mmjsonparse" cookie="")
  action(type="ompgsql" conninfo="{dsn}" template="row" queue.type="LinkedList"
    queue.size="100000" queue.dequeueBatchSize="5000")
}}
{inputs}"""
