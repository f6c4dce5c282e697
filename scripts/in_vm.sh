#!/bin/sh
# in_vm.sh PROGRAM [ARGUMENT...] : runs it as root in a virtual machine with Debian's own kernel, where control groups are
# those of version 2 alone; many machines, this one maybe, hand memory out in version 1 only. Its disk is this machine's `/`
# to read, with room in memory to write: nothing of this machine changes. No network but 127.0.0.1. All is interpreted, so
# that no other machine is needed: some five times as slow. Ends with the program's code. x86_64 and root only.
set -eu
from=$PWD
cd "$(dirname "$0")/.."
. scripts/setup.sh
[ "$(uname -m):$(id -u)" = x86_64:0 ] || { say "in_vm.sh wants root on x86_64"; exit 3; }
debian qemu-system-x86 busybox-static cpio
kernel=$WHERRY_TOOLS/vm-kernel
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' HUP INT TERM

if [ ! -d "$kernel" ]; then
	say "fetching Debian's kernel into $kernel"
	image() { apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: //p' | head -1; }
	[ -n "$(image)" ] || apt-get update >/dev/null
	(cd "$work" && apt-get -o APT::Sandbox::User=root -q=2 download "$(image)" && dpkg-deb -x ./*.deb all)
	mkdir -p "$work/kernel"
	cp "$work"/all/boot/vmlinuz-* "$work/kernel/vmlinuz"
	number=10
	# In the order they are loaded.
	for name in drivers/virtio/virtio_ring drivers/virtio/virtio drivers/virtio/virtio_pci_modern_dev \
		drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci net/9p/9pnet net/9p/9pnet_virtio fs/netfs/netfs \
		fs/fscache/fscache fs/9p/9p fs/overlayfs/overlay; do
		number=$((number + 1))
		cp "$work"/all/lib/modules/*/kernel/$name.ko "$work/kernel/$number.ko"
	done
	mkdir -p "$WHERRY_TOOLS"
	mv "$work/kernel" "$kernel"
fi

# What the kernel starts from: busybox, and what there is to do.
mkdir "$work/first"
cd "$work/first"
mkdir bin proc sys dev lower upper new
cp "$(command -v busybox)" bin/busybox
cp "$kernel"/*.ko .
cat >init <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev
for module in /*.ko; do insmod $module; done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose host /lower || poweroff -f
mount -t tmpfs -o size=75% upper /upper && mkdir /upper/upper /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/upper,workdir=/upper/work root /new || poweroff -f
for name in proc:proc sysfs:sys devtmpfs:dev tmpfs:tmp cgroup2:sys/fs/cgroup; do
	mount -t ${name%:*} none /new/${name#*:} || poweroff -f
done
ip link set lo up
cp /command /bin/busybox /new/tmp
exec switch_root /new /bin/sh /tmp/command
END
chmod 755 init
quoted() { for word; do printf "'%s' " "$(printf %s "$word" | sed "s/'/'\\\\''/g")"; done; }
cat >command <<END
echo; echo begun
cd $(quoted "$from")
export HOME=$(quoted "$HOME") PATH=$(quoted "$PATH") TMPDIR=/tmp WHERRY_IN_VM=yes
$(quoted "$@") </dev/null
echo "ended with \$?"
/tmp/busybox poweroff -f
END
find . | cpio -o -H newc --quiet | gzip -1 >"$work/initrd"
cd /

# The console has lines that end with CR LF; its first ones are the firmware's. An hour is for what hangs.
timeout 3600 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 4096 -nographic -no-reboot -nic none \
	-kernel "$kernel/vmlinuz" -initrd "$work/initrd" -append "console=ttyS0 loglevel=1 panic=-1 clocksource=tsc no_timer_check" \
	-virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
	</dev/null 2>"$work/said" | tee "$work/console" | sed -u 's/\r//g; 1,/^begun$/d'
code=$(tr -d '\r' <"$work/console" | sed -n 's/^ended with \([0-9]*\)$/\1/p' | tail -1)
[ -n "$code" ] || { tail -n 20 "$work/console" "$work/said" >&2; say "the virtual machine ended before the program"; exit 3; }
exit "$code"
