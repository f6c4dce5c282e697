/**
 * An application of real size for the benchmark of builders, from what every checkout has: its `node_modules`, some 70 MB in
 * 8,000 files, as a layer that build, image and cache want, as buildpacks for npm make it; its sources as the app.
 */
import { join } from "node:path";
import { run } from "./registry_testing.ts";

const CHECKOUT = decodeURIComponent(new URL("../..", import.meta.url).pathname);

/** What of the checkout is the app. */
const SOURCES = "cli docs examples lifecycle registry scripts tests deno.json deno.lock mod.ts";

/** The buildpack's id behind `wherry/`. */
export const TEAM_BUILDPACK = "modules";

/** Copies the app to the directory `$1`. */
export const PREPARE_TEAM_APP = `cd "${CHECKOUT}" && cp -R ${SOURCES} "$1"`;

/** Writes the buildpack into `dir`. Its packages lie in it, so that nothing is downloaded. */
export async function writeTeamBuildpack(dir: string): Promise<void> {
  await Deno.mkdir(join(dir, "bin"), { recursive: true });
  await Deno.writeTextFile(join(dir, "buildpack.toml"), BUILDPACK);
  for (const [name, text] of Object.entries({ detect: DETECT, build: BUILD })) {
    await Deno.writeTextFile(join(dir, "bin", name), text, { mode: 0o755 });
  }
  await run("cp", ["-R", join(CHECKOUT, "node_modules"), join(dir, "packages")]);
}

const BUILDPACK = `api = "0.12"

[buildpack]
id = "wherry/${TEAM_BUILDPACK}"
version = "1.0.0"

[[targets]]
os = "linux"
`;

const DETECT = `#!/usr/bin/env bash
[ -f deno.lock ] || exit 100
`;

/** Reuses what the lock file says is the same, and makes one file of the sources, for which it wants the packages. */
const BUILD = `#!/usr/bin/env bash
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
modules=$CNB_LAYERS_DIR/modules
sum=$(sha256sum deno.lock | cut -d' ' -f1)
if [ -d "$modules/node_modules" ] && grep -qF "$sum" "$modules.toml"; then
  echo "reusing node_modules"
else
  rm -rf "$modules"
  mkdir -p "$modules"
  cp -R "$here/packages" "$modules/node_modules"
fi
cat >"$modules.toml" <<TOML
[types]
build = true
launch = true
cache = true

[metadata]
lock = "$sum"
TOML
cat cli/*.ts "$modules"/node_modules/.deno/zod*/node_modules/zod/package.json >bundle.txt
cat >"$CNB_LAYERS_DIR/launch.toml" <<'TOML'
[[processes]]
type = "web"
command = ["cat", "bundle.txt"]
default = true
TOML
`;
