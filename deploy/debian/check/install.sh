#!/bin/bash
# Under systemd in a clean root, for deploy/debian/check.sh: install the package of /out, run its units
# against a Postgres, without a Kafka, and purge it. A line "ok ..." for each thing that is right.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

fail() {
    echo "not ok: $1"
    journalctl --no-pager -n 60 -u 'sitewatch-*' || true
    exit 1
}
ok() {
    echo "ok $1"
}
# Wait until a command succeeds.
until_true() {
    local what=$1
    shift
    for _ in $(seq 150); do
        if "$@" >/dev/null 2>&1; then
            return
        fi
        sleep 0.2
    done
    fail "$what: not within 30 s"
}
says() {
    grep -qE "$2" <<<"$(journalctl --no-pager -u "$1")"
}

for _ in $(seq 600); do
    if [ -e /booted ] && systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; then
        break
    fi
    sleep 0.2
done
systemctl is-system-running | grep -qE 'running|degraded' || fail "systemd does not run here"

apt-get install -y -q --no-install-recommends /out/sitewatch_*.deb
for program in producer consumer api; do
    "$program" --version
    systemctl cat "sitewatch-$program" >/dev/null
    [ "$(systemctl is-enabled "sitewatch-$program" || true)" = disabled ] || fail "$program is enabled by installing"
    [ "$(systemctl is-active "sitewatch-$program" || true)" = inactive ] || fail "$program is started by installing"
    id "sitewatch-$program" | grep -q '(sitewatch)' || fail "$program has no user in the group sitewatch"
done
[ "$(stat -c '%U:%G %a' /etc/sitewatch/kafka)" = 'root:sitewatch 750' ] || fail "rights of /etc/sitewatch/kafka"
ok "installed, not started: $(producer --version)"

[ "$(stat -c '%U:%G %a' /etc/sitewatch/consumer.dsn)" = 'root:root 600' ] || fail "rights of consumer.dsn"
systemctl start --no-block sitewatch-consumer
waits_for_postgres() {
    [ "$(systemctl show -P StatusText sitewatch-consumer)" = "waiting for Postgres" ]
}
until_true "a consumer without Postgres" waits_for_postgres
[ "$(systemctl is-active sitewatch-consumer || true)" = activating ] || fail "a consumer is ready without Postgres"
systemctl stop sitewatch-consumer
ok "a consumer waits for Postgres, and says so"

apt-get install -y -q --no-install-recommends postgresql curl
until_true "Postgres" su postgres -c 'psql -c "SELECT 1"'
su postgres -c 'psql -q' <<'END'
CREATE ROLE "sitewatch-consumer" LOGIN CREATEDB;
CREATE ROLE "sitewatch-api" LOGIN SUPERUSER;
END
cd /etc/sitewatch
echo 'host=/run/postgresql user=sitewatch-consumer dbname=sitewatch' >consumer.dsn
echo 'host=/run/postgresql user=sitewatch-api dbname=sitewatch' >api.dsn
cat >sites.conf <<'END'
targets = ( { name = "itself"; url = "http://127.0.0.1:8080/healthz"; seconds = 1; pattern = "(\\w+)"; } );
END
systemctl enable --now sitewatch-consumer
systemctl enable --now sitewatch-api
curl -fsS http://127.0.0.1:8080/healthz >/dev/null || fail "the api does not serve"
systemctl enable --now sitewatch-producer
ok "the three are started, and ready"

spool=/var/lib/sitewatch/spool.sqlite
until_true "events in the spool" test -s "$spool-wal"
[ "$(stat -c '%U %a' /var/lib/sitewatch)" = 'sitewatch-producer 700' ] || fail "rights of the spool's directory"
until_true "checks" bash -c "curl -fsS http://127.0.0.1:9101/metrics | grep -E '^sitewatch_checks_total.*up.* [1-9]'"
ok "checks are made, and wait in the spool while there is no Kafka"

sed -i 's/seconds = 1;/seconds = 2;/' sites.conf
systemctl reload sitewatch-producer
until_true "the sites to be read again" says sitewatch-producer 'changed=1'
ok "a reload reads the sites"

errors=$(journalctl --no-pager -p err -u sitewatch-producer)
grep -q level=error <<<"$errors" || fail "no line of priority err"
grep -q level=info <<<"$errors" && fail "info lines of priority err"
says 'sitewatch-*' '<[0-7]>time=' && fail "priorities in the text of lines"
ok "the journal has the priorities of lines"

mkdir -p /run/systemd/system/sitewatch-producer.service.d
printf '[Service]\nWatchdogSec=2\nRestartSec=0\n' >/run/systemd/system/sitewatch-producer.service.d/check.conf
systemctl daemon-reload
systemctl restart sitewatch-producer
pid=$(systemctl show -P MainPID sitewatch-producer)
kill -STOP "$pid"
until_true "the watchdog" bash -c "[ \$(systemctl show -P MainPID sitewatch-producer) != $pid ] && systemctl is-active sitewatch-producer"
ok "a producer that stands still is started anew"

for program in producer consumer api; do
    systemctl stop "sitewatch-$program"
    [ "$(systemctl show -P Result "sitewatch-$program")" = success ] || fail "$program does not stop cleanly"
done
ok "they stop, and with success"

# The root may be older than the updates.
apt-get upgrade -y -q
bash /src/tests/lint/packages.sh --strict /usr/bin/producer /usr/bin/consumer /usr/bin/api
ok "no security update is missing"

apt-get purge -y -q sitewatch
left=$(find / -xdev -path /proc -prune -o -path /src -prune -o -path /out -prune -o \
    -name '*sitewatch*' -not -path '/var/log/*' -not -path '/var/lib/postgresql/*' -not -path '/run/*' -print)
[ -z "$left" ] || fail "a purge leaves $left"
for program in producer consumer api; do
    [ ! -e "/usr/bin/$program" ] || fail "a purge leaves $program"
done
ok "a purge leaves nothing but the users"
