# Run by scripts/build-image with root's ids: unpacks the base system, adds edgerun and what image/root has, and
# writes the root file system. What belongs onto the boot partition is left in a folder.
# shellcheck shell=bash
base=$1 deb=$2 ssh_key=$3 root=$4 boot=$5 ext4=$6 mib=$7 id=$8

mkdir "$root"
# Devices are the running kernel's matter, and a user's namespace cannot make them.
tar -xf "$base" -C "$root" --exclude='./dev/*'
mkdir -p "$root/boot/firmware/EFI/BOOT" "$root/boot/firmware/loader"

in_root() {
    # No daemon starts in here; what scripts ask /proc and /dev/null for must be there.
    DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"
}
mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null || { touch "$root/dev/null" && mount --bind /dev/null "$root/dev/null"; }
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

cp -r --no-preserve=ownership image/root/. "$root/"
cp "$deb" "$root/edgerun.deb"
in_root dpkg --install /edgerun.deb
rm "$root/edgerun.deb" "$root/usr/sbin/policy-rc.d"

# Each board makes its own id and keys.
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
: >"$root/etc/machine-id"
printf 'edgerun\n' >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
in_root systemctl --quiet enable systemd-networkd systemd-resolved systemd-timesyncd ssh ssh-host-keys
# A board's programs change when its owner says so; these would load lists every day.
in_root systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer
# The network may come later or never; nothing here waits for it.
in_root systemctl --quiet disable systemd-networkd-wait-online
if [[ $ssh_key ]]; then install -D -m 600 "$ssh_key" "$root/root/.ssh/authorized_keys" && chmod 700 "$root/root/.ssh"; fi

# The loader, where UEFI looks on a medium that it does not know, and the kernel.
cp "$root/usr/lib/systemd/boot/efi/systemd-bootaa64.efi" "$root/boot/firmware/EFI/BOOT/BOOTAA64.EFI"
printf 'timeout 0\n' >"$root/boot/firmware/loader/loader.conf"
for initrd in "$root"/boot/initrd.img-*; do
    in_root /etc/kernel/postinst.d/zz-boot-partition "${initrd##*/initrd.img-}"
done
mv "$root/boot/firmware" "$boot"
mkdir "$root/boot/firmware"

if mountpoint -q "$root/dev/null"; then umount "$root/dev/null"; fi
rm -f "$root/dev/null"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/log/* "$root"/tmp/* "$root"/var/tmp/*
mkdir -p "$root/var/log/journal" && rmdir "$root/var/log/journal"
# Nothing is newer than the source; the clock of a board without one begins there.
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mke2fs -q -t ext4 -L edgerun-root -U "$id" -E "hash_seed=$id,lazy_itable_init=0,lazy_journal_init=0" -d "$root" "$ext4" "${mib}M"
