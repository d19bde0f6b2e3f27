#!/bin/sh
# guest.sh ROOTFS AUTHORITIES: what a fresh Debian needs to be a quick and quiet guest. Run by
# mmdebstrap once the packages are in.
set -eu
rootfs=$1 authorities=$2

echo provision > "$rootfs/etc/hostname"
echo 'LABEL=root / ext4 defaults,discard,errors=remount-ro 0 1' > "$rootfs/etc/fstab"
: > "$rootfs/etc/machine-id" # each machine makes its own

# Other data sources are for clouds; looking for them all costs seconds in an emulated guest.
cat > "$rootfs/etc/cloud/cloud.cfg.d/90-provision.cfg" <<'END'
datasource_list: [NoCloud, Ec2, None]
END

# Nothing runs by itself during a workshop.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer man-db.timer xfs_scrub_all.timer; do
    ln -sf /dev/null "$rootfs/etc/systemd/system/$unit"
done

if [ -n "$(ls "$authorities")" ]; then
    cp "$authorities"/*.crt "$rootfs/usr/local/share/ca-certificates/"
    chroot "$rootfs" update-ca-certificates
fi

# Only the drivers of our own machine: the smaller, the sooner it starts.
printf 'MODULES=list\nCOMPRESS=zstd\nRESUME=none\n' > "$rootfs/etc/initramfs-tools/conf.d/provision"
printf '%s\n' virtio_pci virtio_blk ext4 >> "$rootfs/etc/initramfs-tools/modules"
chroot "$rootfs" update-initramfs -u
