#!/bin/bash
# In a clean root, for deploy/debian/check.sh: build the package of /src into /out, and run lintian.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

apt-get update -q
apt-get install -y -q --no-install-recommends build-essential lintian
cp -r /src /build
cd /build
apt-get build-dep -y -q --no-install-recommends .
dpkg-buildpackage -b -us -uc
lintian --version
lintian --allow-root --fail-on error,warning ../*.changes
cp ../*.deb /out
