#!/bin/sh
# bootable.sh DISK TARGET: a stand-in for a cloud's own image, where that cannot be downloaded. DISK
# is a golden image's, a file system without partitions; TARGET becomes a qcow2 image that any PC
# firmware starts: a partition table, GRUB, and that file system. Needs no root.
set -eu
disk=$1 target=$2
grub=/usr/lib/grub/i386-pc
first=1048576 # bytes before the partition; GRUB lives in them
size=$(stat -c %s "$disk")
work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT

# As in Debian's images, the kernel's arguments are the image's own.
cat > "$work/grub.cfg" <<'END_OF_GRUB'
set root=(hd0,msdos1)
linux /vmlinuz root=/dev/vda1 ro console=tty0 console=ttyS0,115200 panic=10 mitigations=off
initrd /initrd.img
boot
END_OF_GRUB
grub-mkimage --format=i386-pc --prefix=/boot/grub --config="$work/grub.cfg" \
    --output="$work/core.img" biosdisk part_msdos ext2 linux

# The table; the boot sector up to it; the rest of GRUB where that sector looks for it.
truncate -s $((first + size)) "$work/head"
printf 'label: dos\nstart=%s, type=83, bootable\n' $((first / 512)) | sfdisk --quiet "$work/head"
dd if="$grub/boot.img" of="$work/head" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$work/head" bs=512 seek=1 conv=notrunc status=none
truncate -s $first "$work/head"

# Each part straight to its place, because the file system is gigabytes.
qemu-img create -q -f qcow2 "$work/qcow2" $((first + size))
part() {
    qemu-img convert -n -f raw --target-image-opts "$1" \
        "driver=raw,offset=$2,size=$3,file.driver=qcow2,file.file.driver=file,file.file.filename=$work/qcow2"
}
part "$work/head" 0 $first
part "$disk" $first "$size"
mv "$work/qcow2" "$target"
