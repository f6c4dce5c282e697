#!/bin/sh
# Builds wherry, then does its main job once on examples/hello: source to a running image, with no daemon.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh
. scripts/crun.sh

debian $BUILD_PACKAGES crun umoci
deno_on_path
modules
if [ "${1:-}" != --no-build ] || [ ! -x dist/wherry ]; then
	say "building dist/wherry"
	deno task --quiet build >&2
fi
wherry=$PWD/dist/wherry

tmp=$(mktemp -d)
pids=
finish() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	crun delete --force "wherry-hello-$$" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$tmp"
}
trap finish EXIT INT TERM

serve_empty
image=$registry/hello

say "first build: wherry build $image --publish"
start=$(date +%s%N)
"$wherry" build "$image" --publish --store "$tmp/store" --path examples/hello \
	--buildpack examples/buildpacks/hello --run-image scratch -o json >"$tmp/first.json"
first=$((($(date +%s%N) - start) / 1000000))

say "second build, nothing changed"
start=$(date +%s%N)
"$wherry" build "$image" --publish --store "$tmp/store" --path examples/hello \
	--buildpack examples/buildpacks/hello --run-image scratch -o json >"$tmp/second.json" 2>"$tmp/second.log"
second=$((($(date +%s%N) - start) / 1000000))

say "pulling it back into another store and unpacking it"
"$wherry" pull "$image" --store "$tmp/other" --quiet >"$tmp/pulled"
"$wherry" copy "store:$image" "oci:$tmp/layout:hello" --store "$tmp/other" --quiet >/dev/null
bundle "$tmp/layout:hello" "$tmp/bundle"

port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
say "starting it with crun on port $port"
sed -i "s#\"env\":\\[#\"env\":[\"PORT=$port\",#" "$tmp/bundle/config.json"
(run_bundle "$tmp/bundle" "wherry-hello-$$") >"$tmp/app.log" 2>&1 &
pids="$pids $!"
node -e '
	const url = "http://127.0.0.1:" + process.argv[1];
	(async () => {
		for (let tries = 0; tries < 100; tries++) {
			try {
				console.log((await (await fetch(url + "/")).text()).trim());
				console.log((await (await fetch(url + "/env")).text()).trim());
				return;
			} catch { await new Promise((done) => setTimeout(done, 100)); }
		}
		process.exit(1);
	})();
' "$port" >"$tmp/answer" || { say "the app did not answer"; cat "$tmp/app.log" >&2; exit 1; }

field() { node -p "JSON.parse(require('fs').readFileSync('$tmp/$1')).$2"; }
cat <<END

----------------------------------------------------------------------------------------------
 What happened

  1. dist/wherry ($(($(wc -c <dist/wherry) / 1000000)) MB, one file, nothing beside it) served its own store as a registry.
  2. It turned examples/hello into $image
     with the buildpacks $(node -p "JSON.parse(require('fs').readFileSync('$tmp/first.json')).buildpacks.map((b) => b.id).join(', ')").
     They ran on this machine, fenced off: no credentials, no HOME, no other files of yours.
     There is no base image below it (--run-image scratch).       $first ms
  3. The same again: every layer was recognised and none sent.      $second ms
       first  $(field first.json digest)
       second $(field second.json digest)
  4. Another store pulled it back and crun started it. It answered:

$(sed 's/^/       /' "$tmp/answer")

 Look further:  dist/wherry inspect --help;  dist/wherry build --help;  examples/buildpacks
----------------------------------------------------------------------------------------------
END
