#!/bin/bash
# run.sh - start producer, consumer and api against the Kafka and the Postgres of .env, and wait until
# they are well. Tables are made; topics are expected (one that is missing is named, with the command
# that makes it). Prints an api token when the database has none. Running it again takes up what has
# changed, but for renewed certificates, which need nothing.
#
# Environment: CERTIFICATES, SITES (other places for them), and what docker compose takes.
set -euo pipefail
cd "$(dirname "$0")"

fail() {
    echo "run.sh: $*" >&2
    exit 1
}
[ -e "${COMPOSE_ENV_FILES:-.env}" ] ||
    fail "there is no deploy/prod/.env: copy .env.example and fill it in"
if [ ! -f "${SITES:-sites.conf}" ]; then
    echo "run.sh: there is no deploy/prod/sites.conf, the sites are those that come through the api"
    export SITES=/dev/null TARGETS_FILE=
fi
certificates=${CERTIFICATES:-../../certificates}
for file in kafka/ca.pem kafka/service.cert kafka/service.key postgres/ca.pem; do
    [ -e "$certificates/$file" ] || fail "there is no $certificates/$file: see certificates/README.md"
done

run() {
    docker compose run --rm --no-deps -T "$@"
}
run consumer migrate
if ! run api token list | grep -E ' (valid|until) ' >/dev/null; then
    run api token create --owner operator --scope write
fi
docker compose up --detach --remove-orphans --wait --wait-timeout 120
