#!/bin/bash
# init.sh ROOTFS FOLDER: process 1 of the machine, in namespaces of its own. All of it ends with it.
# ROOTFS is only read; what the machine writes is in FOLDER.
set -eu
rootfs=$1 folder=$2
root=$folder/root

mount -t overlay overlay "$root" \
    -o "lowerdir=$rootfs,upperdir=$folder/upper,workdir=$folder/work"
cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p var/lib/docker opt/provision/homes run/lock run/sshd run/systemd/resolve run/outside
# Docker's overlay2 cannot stand on an overlay.
mount --bind "$folder/docker" var/lib/docker
echo "nameserver $ROUTER" > run/systemd/resolve/stub-resolv.conf
if [ ! -s "$folder/homes.xfs" ]; then
    truncate -s 2G "$folder/homes.xfs.new"
    mount --bind "$folder" run/outside
    chroot . mkfs.xfs -q /run/outside/homes.xfs.new
    umount run/outside
    mv "$folder/homes.xfs.new" "$folder/homes.xfs"
fi
mount -t xfs -o loop "$folder/homes.xfs" opt/provision/homes

pivot_root . run/outside
cd /
exec /bin/bash -euc '
umount -l /run/outside
rmdir /run/outside
hostname "$(cat /etc/hostname)"
trap "exit 0" TERM
sleep infinity < /dev/null > /dev/null 2>&1 &
echo ready
exec < /dev/null > /dev/null 2>&1
while :; do wait $! || true; done
' init
