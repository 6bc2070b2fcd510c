#!/bin/bash
# cleanup.sh - remove the containers, networks and volumes of deploy/test/run.sh, also after one that
# was killed.
set -euo pipefail
cd "$(dirname "$0")"
docker compose down --volumes --remove-orphans --timeout 2
