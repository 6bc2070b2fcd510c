#!/bin/bash
# cleanup.sh - stop the local stack and remove its containers, networks, volumes and token.
set -euo pipefail
cd "$(dirname "$0")"
docker compose down --volumes --remove-orphans --timeout 30
rm -f .token
