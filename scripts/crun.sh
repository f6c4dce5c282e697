# Sourced: starts an image with Debian's crun, until wherry starts images itself.

# bundle LAYOUT:TAG DIR : unpacks an image of an OCI layout into a bundle that shares the host's network.
bundle() {
	umoci --log=error unpack --image "$1" "$2"
	node -e '
		const fs = require("fs"), file = process.argv[1] + "/config.json", spec = JSON.parse(fs.readFileSync(file));
		spec.process.terminal = false;
		spec.linux.namespaces = spec.linux.namespaces.filter((one) => one.type !== "network");
		delete spec.linux.resources;
		fs.writeFileSync(file, JSON.stringify(spec));
	' "$2"
}

# run_bundle DIR ID : runs it in the foreground. crun 1.8 wants cgroup v2 alone: where both versions are mounted
# it gets a view of the machine with only the newer one.
run_bundle() {
	if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
		exec crun run --bundle "$1" "$2"
	fi
	exec unshare --mount sh -c '
		umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
		exec crun --cgroup-manager=disabled run --bundle "$1" "$2"' sh "$1" "$2"
}
