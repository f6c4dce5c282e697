/** The corpus. */
import type { OracleCase } from "./case.ts";

const pass = {};

/** A buildpack that makes the layer `name` with these flags, and its TOML. */
function layer(name: string, types: string, content = "data", metadata = ""): string {
  return `mkdir -p "$1/${name}"\nprintf '%s' '${content}' > "$1/${name}/file"\n` +
    `cat > "$1/${name}.toml" <<'TOML'\n[types]\n${types}\n${metadata}\nTOML`;
}

/** All cases. */
export const CASES: readonly OracleCase[] = [
  { name: "one buildpack that does nothing", buildpacks: { "a/one@1.0": pass } },
  {
    name: "processes, labels, slices",
    buildpacks: {
      "a/one@1.0": {
        build: `cat > "$1/launch.toml" <<'TOML'
[[labels]]
key = "some.label"
value = "a \\"quoted\\" <value> & more"
[[processes]]
type = "web"
command = ["server", "--port"]
args = ["80"]
default = true
[[processes]]
type = "worker"
command = ["work"]
working-dir = "/tmp"
[[slices]]
paths = ["*.txt", "sub/*"]
[[slices]]
paths = ["nothing-here"]
TOML`,
      },
    },
    app: {
      "main.txt": "x",
      "sub/deep/a.js": "1",
      "sub/b.js": "2",
      "other/c": "3",
      "a-b": "4",
      "a/b": "5",
    },
  },
];
