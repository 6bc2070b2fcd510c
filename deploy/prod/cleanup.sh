#!/bin/bash
# cleanup.sh [--spool] - stop what run.sh started and remove its containers and network. The spool, which
# may hold events that Kafka has not got yet, stays unless --spool is given.
set -euo pipefail
cd "$(dirname "$0")"
case ${1-} in
'') docker compose down --remove-orphans --timeout 30 ;;
--spool) docker compose down --remove-orphans --timeout 30 --volumes ;;
*)
    echo "usage: cleanup.sh [--spool]" >&2
    exit 2
    ;;
esac
