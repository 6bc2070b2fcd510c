#!/bin/bash
# build.sh [source] - make the Debian package in build/deb, out of what git has and the changes beside
# it; with `source` only the tree that dpkg-buildpackage builds it in, build/deb/sitewatch-VERSION.
# The version is git's: a tag v1.2.3 makes 1.2.3, commits after it 1.2.3+4.gabcdef0, and without a
# tag it is 0~YYYYMMDDHHMM.gabcdef0, so that a later commit is a later version.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=build/deb
program_version=$(git describe --tags --always --dirty)
case $program_version in
v[0-9]*)
    version=${program_version#v}
    version=${version/-/+}
    ;;
*) version=0~$(git log -1 --format=%cd --date=format:%Y%m%d%H%M).g${program_version} ;;
esac
version=${version//-/.}

tree=$out/sitewatch-$version
rm -rf "$out"
mkdir -p "$tree"
# Neither what was built nor what git ignores.
git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar --null -T - -cf - | tar -C "$tree" -xf -
mv "$tree/deploy/debian" "$tree/debian"
echo "$program_version" >"$tree/debian/version"
cat >"$tree/debian/changelog" <<END
sitewatch ($version) unstable; urgency=medium

  * Built from $program_version.

 -- The Sitewatch developers <sitewatch@example.org>  $(git log -1 --format=%cD)
END
if [ "${1-}" = source ]; then
    echo "$tree"
    exit
fi
(cd "$tree" && dpkg-buildpackage -b -us -uc)
rm -rf "$tree"
echo "$out"/*.deb
