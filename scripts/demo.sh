#!/bin/sh
# demo.sh [--no-build] [--cached] : a Java app from source to a running, rebased image with a builder of our own: what docs/demo.md
# explains. Needs root once, for mmdebstrap to make the base images; --cached skips everything when they are not made yet.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh

no_build= cached=
for flag in "$@"; do
	case $flag in
	--no-build) no_build=yes ;;
	--cached) cached=yes ;;
	*) echo "usage: demo.sh [--no-build] [--cached]" >&2; exit 3 ;;
	esac
done
images="java run run2"
deno_on_path
if [ -n "$cached" ]; then
	# shellcheck disable=SC2086
	deno run -A scripts/base_images.ts --cached $images >/dev/null || { echo "skipped: the base images are not made"; exit 0; }
else
	debian $BUILD_PACKAGES mmdebstrap
fi
modules
if [ -z "$no_build" ] || [ ! -x dist/wherry ]; then
	say "building dist/wherry"
	deno run -A scripts/compile_c.ts >&2
	deno run -A scripts/build.ts --fast >&2
fi
wherry=${WHERRY:-$PWD/dist/wherry}
say "base images of Debian packages: scripts/base_images.ts $images (a minute each, once)"
# shellcheck disable=SC2086
base=$(deno run -A scripts/base_images.ts $images | tail -1)

tmp=$(mktemp -d)
chmod 755 "$tmp"
pids=
finish() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$tmp"
}
trap finish EXIT INT TERM
export WHERRY_STORE="$tmp/store"

# step WORDS... : runs a command of wherry and says what it cost: time, and requests the registry counted.
step() {
	say "wherry $*"
	asked=$(wc -l <"$tmp/access.log")
	start=$(date +%s%N)
	"$wherry" "$@" >"$tmp/out" 2>"$tmp/err" || { cat "$tmp/err" >&2; exit 1; }
	ms=$((($(date +%s%N) - start) / 1000000))
	requests=$(($(wc -l <"$tmp/access.log") - asked))
	say "  $ms ms, $requests requests"
}
# layers FILE : how many layers of a build were reused, and which were not.
layers() {
	deno eval '
		const { layers } = JSON.parse(Deno.readTextFileSync(Deno.args[0]));
		const made = layers.filter(({ how }) => how !== "reused");
		const names = made.map(({ id, diffId }) => id ?? diffId.slice(7, 19)).join(", ");
		console.log(`${layers.length - made.length} of ${layers.length} layers reused` + (names && `; made: ${names}`));
	' "$1"
}
field() { deno eval 'console.log(JSON.parse(Deno.readTextFileSync(Deno.args[0]))[Deno.args[1]])' "$1" "$2"; }
show() { sed 's/^/       /' "$1"; }
# answer IMAGE : starts it, asks it for / and /env, stops it.
answer() {
	port=$(deno eval 'const one = Deno.listen({ hostname: "127.0.0.1", port: 0 }); console.log(one.addr.port); one.close()')
	say "wherry run $1 --pull-policy always -e PORT=$port"
	"$wherry" run "$1" --pull-policy always -e "PORT=$port" >"$tmp/app.log" 2>&1 &
	app=$!
	pids="$pids $app"
	deno eval '
		const ask = async (path) => (await (await fetch(`http://127.0.0.1:${Deno.args[0]}${path}`)).text()).trim();
		for (let tries = 0; ; tries++) {
			try {
				console.log(await ask("/"), "- java", await ask("/env"));
				break;
			} catch (thrown) {
				if (tries === 300) throw thrown;
				await new Promise((done) => setTimeout(done, 100));
			}
		}
	' "$port" >"$tmp/answer" || { cat "$tmp/app.log" >&2; exit 1; }
	kill "$app"
	wait "$app" 2>/dev/null || true
	cat "$tmp/answer"
}

serve_empty --access-log "$tmp/access.log"
shop=$registry/shop

step copy "oci:$base:run" "$registry/run:stable" --quiet

# 1. The builder: our build image, our buildpacks, our run image.
cat >"$tmp/builder.toml" <<TOML
description = "Java, with nothing from outside"

[[buildpacks]]
uri = "$PWD/examples/buildpacks/jre"

[[buildpacks]]
uri = "$PWD/examples/buildpacks/executable-jar"

[[order]]
[[order.group]]
id = "wherry/jre"
[[order.group]]
id = "wherry/executable-jar"

[build]
image = "oci:$base:java"

[run]
[[run.images]]
image = "$registry/run:stable"
TOML
step builder create "$registry/builder:1" --config "$tmp/builder.toml" --publish
builder_ms=$ms builder_requests=$requests
step builder inspect "$registry/builder:1"
sed -n '/^REMOTE/,$p' "$tmp/out" | sed '/^LOCAL/,$d' >"$tmp/builder.txt"

# 2. The app: compiled in the build image, so that this machine needs no Java.
cp -R examples/java-app "$tmp/source"
mkdir "$tmp/jar"
chmod 777 "$tmp/jar"
make_jar() {
	step run "oci:$base:java" --volume "$tmp/source:/source" --volume "$tmp/jar:/jar:rw" --entrypoint /bin/sh -- /source/make-jar.sh /jar/app.jar
}
build() { # build RESULT FLAG...
	result=$tmp/$1.json
	shift
	step build "$shop" --publish --path "$tmp/jar/app.jar" -o json "$@"
	cp "$tmp/out" "$result"
}
make_jar
build first --builder "$registry/builder:1"
first_ms=$ms first_requests=$requests
answer "$shop" >"$tmp/answer.1"

# 3. Again, nothing changed; again, one class changed.
build same --builder "$registry/builder:1"
same_ms=$ms same_requests=$requests
sed 's/Greeting.of("java")/Greeting.of("java, again")/' examples/java-app/src/shop/Shop.java >"$tmp/source/src/shop/Shop.java"
make_jar
build class --builder "$registry/builder:1"
class_ms=$ms class_requests=$requests

# 4. Another Java: a buildpack of the same id takes the place of the old one. It brings a smaller runtime.
cp -R examples/buildpacks/jre "$tmp/jre"
sed -i 's/^version = .*/version = "0.2.0"/' "$tmp/jre/buildpack.toml"
sed -i 's/BP_JRE_MODULES:-[^}]*/BP_JRE_MODULES:-java.base,jdk.httpserver/' "$tmp/jre/bin/build"
step builder create "$registry/builder:2" --from "$registry/builder:1" --buildpack "$tmp/jre" --publish
swap_ms=$ms swap_requests=$requests
grep -v Successfully "$tmp/err" >"$tmp/swap.txt" || true
build swapped --builder "$registry/builder:2"
swapped_ms=$ms swapped_requests=$requests
answer "$shop" >"$tmp/answer.2"

# 5. What is in it, by layer, file and package.
step inspect "$shop" --layers --no-base --remote
cp "$tmp/out" "$tmp/layers.txt"
step inspect "$shop" --files --no-base --remote
grep 'BOOT-INF/' "$tmp/out" | head -4 >"$tmp/files.txt"
step inspect "$shop" --sbom --remote
head -12 "$tmp/out" >"$tmp/sbom.txt"

# 6. A patched base under the same name: no build, no layer of the app moved.
step copy "oci:$base:run2" "$registry/run:stable" --quiet
step rebase "$shop" --publish
cp "$tmp/err" "$tmp/rebase.txt"
rebase_ms=$ms rebase_requests=$requests
answer "$shop" >"$tmp/answer.3"

cat <<END

----------------------------------------------------------------------------------------------
 What happened

  1. A build image with a JDK and two run images were made of Debian packages, and a builder of them:
                                                               $builder_ms ms, $builder_requests requests
     wherry builder inspect:

$(show "$tmp/builder.txt")

  2. A jar as Spring Boot packs it became $shop:
                                                               $first_ms ms, $first_requests requests
     It answers: $(cat "$tmp/answer.1")
  3. Again, nothing changed: $(layers "$tmp/same.json")
       first  $(field "$tmp/first.json" digest)
       again  $(field "$tmp/same.json" digest)
                                                               $same_ms ms, $same_requests requests
     One class changed: $(layers "$tmp/class.json")
                                                               $class_ms ms, $class_requests requests
  4. Another JRE buildpack in the builder: one layer and labels:
                                                               $swap_ms ms, $swap_requests requests

$(show "$tmp/swap.txt")

     Built with it: $(layers "$tmp/swapped.json")
                                                               $swapped_ms ms, $swapped_requests requests
     It answers: $(cat "$tmp/answer.2")
  5. wherry inspect --layers:

$(show "$tmp/layers.txt")

     --files:

$(show "$tmp/files.txt")

     --sbom:

$(show "$tmp/sbom.txt")

  6. A patched run image came under the same name. Rebase, moving no layer of the app:
                                                               $rebase_ms ms, $rebase_requests requests

$(show "$tmp/rebase.txt")

     It answers: $(cat "$tmp/answer.3")

 Each step is explained in docs/demo.md.
----------------------------------------------------------------------------------------------
END
