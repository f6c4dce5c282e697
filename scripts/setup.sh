# Sourced by the scripts beside it. Finds what they need and installs what is missing, saying so first.
# Deno comes from the npm package `deno`; everything else from Debian.

WHERRY_TOOLS=${WHERRY_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/wherry-build}
DENO_VERSION=2.9.6

say() { printf '%s\n' "--> $*" >&2; }

# debian PACKAGE... : installs the packages that are not there.
debian() {
	missing=
	for package in "$@"; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
	done
	[ -z "$missing" ] && return 0
	say "installing from Debian:$missing"
	as_root=
	[ "$(id -u)" = 0 ] || as_root=sudo
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 || {
		$as_root apt-get update >/dev/null
		$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >/dev/null
	}
}

# engines : clients of registries that people have; one that is there already, of whatever origin, stays.
engines() {
	for each in podman:podman buildah:buildah dockerd:docker.io; do
		command -v "${each%%:*}" >/dev/null || debian "${each#*:}"
	done
}

# deno_on_path : puts Deno (exactly DENO_VERSION) on PATH.
deno_on_path() {
	case $(uname -m) in
	x86_64) cpu=x64 ;;
	aarch64) cpu=arm64 ;;
	*) say "wherry is built on x86_64 and aarch64, this is $(uname -m)"; exit 1 ;;
	esac
	bin=$WHERRY_TOOLS/deno-$DENO_VERSION/node_modules/@deno/linux-$cpu-glibc
	if [ ! -x "$bin/deno" ]; then
		say "installing Deno $DENO_VERSION from npm into $WHERRY_TOOLS"
		mkdir -p "$WHERRY_TOOLS/deno-$DENO_VERSION"
		(cd "$WHERRY_TOOLS/deno-$DENO_VERSION" &&
			npm install --silent --no-save --ignore-scripts --prefix . "@deno/linux-$cpu-glibc@$DENO_VERSION")
		chmod +x "$bin/deno"
	fi
	PATH=$bin:$PATH
	export PATH
}

# modules : the npm packages of deno.lock, as it says.
modules() {
	[ -d node_modules/.deno ] || say "installing the packages of deno.lock from npm"
	deno install --quiet --frozen
}

# spdx_tools : the SPDX project's own validator, where Python has pip; a test is skipped without it.
spdx_tools() {
	dir=$WHERRY_TOOLS/spdx-tools-0.8.5
	[ ! -d "$dir/spdx_tools" ] || return 0
	python3 -m pip --version >/dev/null 2>&1 || return 0
	say "installing spdx-tools 0.8.5 from PyPI into $dir"
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$dir" spdx-tools==0.8.5 ||
		say "spdx-tools could not be installed: its test is skipped"
}

# serve_empty FLAG... : starts $wherry as an empty registry in $tmp; its host is in $registry, its process in $pids.
serve_empty() {
	say "an empty registry: wherry serve"
	"$wherry" serve --store "$tmp/registry" --listen 127.0.0.1:0 "$@" >"$tmp/url" 2>"$tmp/serve.log" &
	pids="$pids $!"
	until [ -s "$tmp/url" ]; do
		kill -0 "$!" || { cat "$tmp/serve.log" >&2; exit 1; }
		sleep 0.1
	done
	registry=$(sed 's#^http://##' "$tmp/url")
}

# What `deno task build` compiles and packs with: launcher and helper for both processors, and zstd.
BUILD_PACKAGES="gcc musl-tools libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross linux-libc-dev-arm64-cross zstd xz-utils"
