#!/bin/bash
# root.sh PROGRAM DIR - put into DIR what a container needs to run the program and nothing else: the
# program, the libraries it is linked with and those these load, certificates of public authorities,
# an unprivileged user, and of each Debian package it took from its entry in dpkg's status, so that
# scanners see it, and its licence. No shell, no package manager.
set -euo pipefail
program=$1
root=$2
user=65532

mkdir -p "$root"/{etc/ssl/certs,tmp,usr/bin,usr/lib,usr/lib64,usr/share/doc,var/lib/dpkg/status.d,var/lib/sitewatch}
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"

declare -A packages
add() { # a file as the linker names it, at the same place
    local file
    file=$(realpath "$1")
    install -D -m 755 "$file" "$root/$(realpath "$(dirname "$1")")/$(basename "$1")"
    packages[$(dpkg-query -S "$file" | sed -n '1s/:.*//p')]=1
}

install -m 755 -s "$program" "$root/usr/bin/"
# libgcc_s is loaded when a thread is cancelled, libnss_* when a host's /etc/nsswitch.conf says so.
while read -r library; do
    add "$library"
done < <({ ldd "$program" | grep -o '/[^ ]*'; ls /lib/*/libgcc_s.so.1; } | sort -u)

cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
packages[ca-certificates]=1
cp -L /etc/os-release "$root/etc/os-release"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
printf 'sitewatch:x:%d:%d::/var/lib/sitewatch:/sbin/nologin\n' "$user" "$user" >"$root/etc/passwd"
printf 'sitewatch:x:%d:\n' "$user" >"$root/etc/group"
chmod 1777 "$root/tmp"
chown "$user:$user" "$root/var/lib/sitewatch"
chmod 700 "$root/var/lib/sitewatch"

for package in "${!packages[@]}"; do
    dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"
    mkdir -p "$root/usr/share/doc/$package"
    cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
done
install -D -m 644 LICENSE "$root/usr/share/doc/sitewatch/copyright"

# The same sources, the same image: no time of this build stays in it.
find "$root" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
