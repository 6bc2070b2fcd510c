#!/bin/bash
# In a clean root, for deploy/debian/check.sh: become systemd, in a control group of its own.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

apt-get update -q
apt-get install -y -q --no-install-recommends systemd-sysv

# Whatever the machine gave us is replaced by the one hierarchy that today's systemd wants.
umount /sys/fs/cgroup/* 2>/dev/null || true
umount /sys/fs/cgroup || true
mount -t cgroup2 none /sys/fs/cgroup
group=$(mktemp -d /sys/fs/cgroup/sitewatch-XXXXXX)
echo $$ >"$group/cgroup.procs"
# Mounts for credentials are to be seen by the services they are for.
mount --make-rshared /
touch /booted
exec unshare --cgroup bash -c 'umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec /sbin/init'
