#!/bin/sh
# Fetch the peers of bench/sink that Debian does not have, at the versions named here, into
# build/peers, or $PEERS: Telegraf (Go), Debezium's JDBC sink on Kafka Connect (Maven), psycopg
# (pip). rsyslog is Debian's: apt-get install rsyslog-kafka rsyslog-pgsql. What is there is kept.
set -eu

DEBEZIUM=3.5.0.Final
CONNECT=4.2.0
POSTGRESQL=42.7.7
PSYCOPG=3.3.9

root=$(cd "$(dirname "$0")/.." && pwd)
peers=${PEERS:-$root/build/peers}
mkdir -p "$peers"

"$root/bench/peers.sh" telegraf

dependency() {
    printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n' "$@"
}

if [ ! -e "$peers/connect/.complete" ]; then
    pom=$(mktemp -d)
    trap 'rm -rf "$pom"' EXIT
    {
        printf '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        printf '<groupId>sitewatch</groupId><artifactId>connect-for-bench</artifactId>'
        printf '<version>1</version><packaging>pom</packaging><dependencies>\n'
        dependency io.debezium debezium-connector-jdbc "$DEBEZIUM"
        dependency org.postgresql postgresql "$POSTGRESQL"
        dependency org.apache.kafka connect-runtime "$CONNECT"
        dependency org.apache.kafka connect-json "$CONNECT"
        dependency org.apache.logging.log4j log4j-slf4j-impl 2.24.3
        printf '</dependencies></project>\n'
    } >"$pom/pom.xml"
    mvn -q -B -Dstyle.color=never -f "$pom/pom.xml" dependency:copy-dependencies \
        "-DoutputDirectory=$peers/connect"
    touch "$peers/connect/.complete"
fi

if [ ! -e "$peers/python/bin/python" ]; then
    python3 -m venv --system-site-packages "$peers/python"
    "$peers/python/bin/pip" install -q "psycopg[binary]==$PSYCOPG"
fi
