#!/bin/sh
# Assemble the box's disk: root filesystem, Kubernetes, images, boot loader.
# Runs as root in mount and PID namespaces of its own, so whatever ends it, nothing stays mounted or running.
# usage: assemble.sh WORK BASE_TAR BUNDLE OVERLAY DISK_MIB
#   WORK      folder to work in; gets disk.raw
#   BASE_TAR  Debian root filesystem
#   BUNDLE    folder with binaries/ and images/; crictl and etcd's tools are not in every one
#   OVERLAY   folder copied over the root filesystem
#   DISK_MIB  size of the disk
set -eu
# The guest's daemons run as users of their own, and have to read what is written here.
umask 022
work=$1 base=$2 bundle=$3 overlay=$4 disk_mib=$5
boot_mib=64
root=$work/root
image=$work/disk.raw

say() { echo "== $*"; }

say "unpacking the root filesystem"
mkdir "$root"
tar -C "$root" -xf "$base" --numeric-owner
cp -R --no-preserve=ownership,mode "$overlay"/. "$root"/
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname "$root"/etc/resolv.conf
: > "$root"/etc/machine-id
chmod 440 "$root"/etc/sudoers.d/vagrant
for name in kubeadm kubelet kubectl; do
    install -m 755 "$bundle/binaries/$name" "$root/usr/bin/$name"
done
mkdir -p "$root/opt/cni/bin" "$root/etc/cni/net.d" "$root/etc/kubernetes/manifests"
install -m 755 "$bundle"/binaries/cni/* "$root/opt/cni/bin/"
for name in crictl etcdctl etcdutl; do
    if [ -e "$bundle/binaries/$name" ]; then
        install -m 755 "$bundle/binaries/$name" "$root/usr/bin/$name"
    fi
done

mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"

say "configuring the system"
chroot "$root" sh -eu <<'CHROOT'
useradd --create-home --shell /bin/bash --password '*' vagrant
systemctl --quiet enable kubelet containerd ssh systemd-networkd lab-network lab-clock lab-kubeconfig.path
systemctl --quiet disable systemd-networkd-wait-online.service
systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer getty@tty1.service \
    systemd-pstore.service sshd-keygen.service ldconfig.service systemd-journal-catalog-update.service \
    systemd-hwdb-update.service sys-kernel-config.mount sys-fs-fuse-connections.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount dev-mqueue.mount systemd-random-seed.service
# Made once here: kubectl takes a second to print it where the CPU is emulated.
kubectl completion bash >/usr/share/bash-completion/completions/kubectl
echo '. /usr/lib/kubelab/bashrc' >>/etc/bash.bashrc
# Packed modules would be unpacked by an emulated CPU, at every boot.
cd /lib/modules/*/kernel
find net fs/overlayfs drivers/block drivers/net drivers/virtio drivers/char crypto arch lib -name '*.ko.xz' -exec xz -d {} +
depmod -a "$(basename "$(dirname "$PWD")")"
update-initramfs -u
CHROOT

say "importing the images"
mkdir "$root/tmp/images"
mount --bind "$bundle/images" "$root/tmp/images"
chroot "$root" sh -eu <<'CHROOT'
containerd >/tmp/containerd.log 2>&1 &
pid=$!
tries=0
until ctr version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 300 ]; then cat /tmp/containerd.log >&2; exit 1; fi
    sleep 0.1
done
# The layers stay as well, packed: without them an image runs, but cannot be exported or pushed.
for tar in /tmp/images/*.tar; do
    ctr -n k8s.io images import --local --compress-blobs "$tar"
done
# The kubelet removes no image that is pinned, however full the disk gets.
ctr -n k8s.io images ls -q >/tmp/names
while read -r name; do
    ctr -n k8s.io images label "$name" io.cri-containerd.pinned=pinned </dev/null
done </tmp/names
# Deleting a lease and waiting for it makes containerd remove what was not packed yet.
ctr -n k8s.io leases create --id kubelab
ctr -n k8s.io leases delete --sync kubelab
kill $pid
wait $pid || true
CHROOT
umount "$root/tmp/images"
umount -R "$root/tmp" "$root/run" "$root/dev" "$root/sys" "$root/proc"

say "making the boot partition"
kernel=$(basename "$root"/boot/vmlinuz-*)
mkdir "$work/boot"
cp "$root/boot/$kernel" "$work/boot/vmlinuz"
cp "$root"/boot/initrd.img-* "$work/boot/initrd"
rm -f "$root"/boot/initrd.img-*
cat > "$work/boot/syslinux.cfg" <<'CONFIG'
SERIAL 0
DEFAULT lab
LABEL lab
  LINUX vmlinuz
  APPEND initrd=initrd root=/dev/vda2 rootfstype=ext4 rw console=ttyS0 net.ifnames=0 mitigations=off tsc=reliable clocksource=tsc apparmor=0 selinux=0 audit=0 nowatchdog noresume systemd.ssh_auto=no quiet
CONFIG
truncate -s "${boot_mib}M" "$work/boot.fat"
mkfs.fat -F 16 -n BOOT "$work/boot.fat" >/dev/null
mcopy -i "$work/boot.fat" "$work/boot/vmlinuz" "$work/boot/initrd" "$work/boot/syslinux.cfg" ::
syslinux --install "$work/boot.fat"

say "making the disk"
root_start=$((1 + boot_mib))
truncate -s "${disk_mib}M" "$image"
sfdisk --quiet "$image" <<TABLE
label: dos
start=1MiB, size=${boot_mib}MiB, type=6, bootable
start=${root_start}MiB, type=83
TABLE
dd if=/usr/lib/syslinux/mbr/mbr.bin of="$image" bs=440 count=1 conv=notrunc status=none
dd if="$work/boot.fat" of="$image" bs=1M seek=1 conv=notrunc,sparse status=none
mke2fs -q -F -t ext4 -L root -E "offset=$((root_start * 1048576)),lazy_itable_init=1,lazy_journal_init=1" \
    -d "$root" "$image" "$((disk_mib - root_start - 1))M"
