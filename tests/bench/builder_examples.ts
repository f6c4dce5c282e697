// deno-lint-ignore-file no-console
/**
 * The examples, and an application of real size, built by wherry with a builder, and by the Go lifecycle's creator run by hand in a
 * chroot of the same builder: first and again, same registry, each with its own cache.
 *
 * Two numbers for Go: "creator" is it alone, handed a workspace for nothing; "by hand" has what a platform does besides, as
 * wherry does it: workspace, layers and platform made anew, the app copied and given to the build's user. In neither does Go
 * look whether there is a newer builder, nor are there walls.
 */
import { join } from "node:path";
import { cachedLayout, missingImages } from "../../scripts/base_images.ts";
import { goLifecycle } from "../oracle/go_lifecycle.ts";
import { PREPARE_TEAM_APP, TEAM_BUILDPACK, writeTeamBuildpack } from "./builder_team_app.ts";
import { run, timed } from "./registry_testing.ts";

const EXAMPLES = decodeURIComponent(new URL("../../examples", import.meta.url).pathname);
const ID = "1000";

interface Example {
  readonly name: string;
  readonly buildpacks: readonly string[];
  /** Copies the app, as it is in the workspace, to the directory `$1`. */
  readonly prepare: string;
  /** What buildpacks are told. */
  readonly env?: Readonly<Record<string, string>>;
}

const ALL: readonly Example[] = [
  {
    name: "bash-app",
    buildpacks: ["procfile"],
    prepare: `cp -R "${EXAMPLES}/bash-app/." "$1"`,
  },
  { name: "node-app", buildpacks: ["node"], prepare: `cp -R "${EXAMPLES}/node-app/." "$1"` },
  { name: "python-app", buildpacks: ["python"], prepare: `cp -R "${EXAMPLES}/python-app/." "$1"` },
  {
    name: "java-app",
    buildpacks: ["jre", "executable-jar"],
    prepare:
      `sh "${EXAMPLES}/java-app/make-jar.sh" "$1.jar" && cd "$1" && jar --extract --file "$1.jar"`,
    env: { BP_JRE_MODULES: "java.base,jdk.httpserver" },
  },
  { name: "team-app", buildpacks: [TEAM_BUILDPACK], prepare: PREPARE_TEAM_APP },
];

/** Prints the table; says what is missing. */
export async function benchExamples(
  options: { readonly root: string; readonly wherry: string; readonly host: string },
): Promise<void> {
  const { root, wherry, host } = options;
  const layout = cachedLayout();
  if ((await missingImages(layout, ["languages"])).length > 0) {
    return console.log(
      "skipped: builds of the examples: deno run -A scripts/base_images.ts languages",
    );
  }
  const go = await goLifecycle();
  if ("why" in go) return console.log(`skipped: the Go lifecycle: ${go.why}`);
  const names = [...new Set(ALL.flatMap(({ buildpacks }) => buildpacks))];
  const team = join(root, "team-buildpack");
  await writeTeamBuildpack(team);
  const dirOf = (name: string) => name === TEAM_BUILDPACK ? team : `${EXAMPLES}/buildpacks/${name}`;
  await Deno.writeTextFile(
    join(root, "languages.toml"),
    [
      ...names.map((name) => `[[buildpacks]]\nuri = "${dirOf(name)}"\n`),
      ...ALL.map(({ buildpacks }) =>
        "[[order]]\n" +
        buildpacks.map((name) => `[[order.group]]\nid = "wherry/${name}"\n`).join("")
      ),
      `[build]\nimage = "oci:${layout}:languages"\n[[run.images]]\nimage = "${host}/languages:run"\n`,
    ].join("\n"),
  );
  const own = ["--quiet", "--store", join(root, "languages-store")];
  const builder = `${host}/languages:1`;
  const runImage = `${host}/languages:run`;
  await run(wherry, ["copy", `oci:${layout}:languages`, runImage, ...own]);
  await run(wherry, [
    ...["builder", "create", builder, "--publish", "--config", join(root, "languages.toml")],
    ...own,
  ]);
  await run(wherry, ["run", builder, ...own, "--entrypoint", "/bin/true"]); // unpacked now
  const copy = join(root, "languages-layout");
  await run(wherry, ["copy", builder, `oci:${copy}:1`, ...own]);
  await run("umoci", ["unpack", "--image", `${copy}:1`, join(root, "languages")]);
  const chroot = join(root, "languages", "rootfs");
  for (const dir of ["proc", "dev", "go", "cache"]) {
    await Deno.mkdir(join(chroot, dir), { recursive: true });
  }
  await Deno.copyFile(go.file, join(chroot, "go", "creator"));
  await Deno.chmod(join(chroot, "go", "creator"), 0o755);
  for (const example of ALL) {
    const app = join(root, "apps", example.name);
    await Deno.mkdir(app, { recursive: true });
    await run("sh", ["-c", example.prepare, "sh", app]);
    const words = Object.entries(example.env ?? {}).flatMap((pair) => ["--env", pair.join("=")]);
    const ours = () =>
      timed(wherry, [
        ...["build", `${host}/ours-${example.name}`, "--publish", "--path", app, ...own],
        ...["--builder", builder, "--run-image", runImage, ...words],
      ]);
    const theirs = async () => {
      const fresh = ["-c", FRESH, "sh", chroot, app, `${ID}:${ID}`, ...envFiles(example)];
      await run("sh", ["-c", LEAVE, "sh", chroot]);
      const around = await timed("sh", fresh);
      const creator = await timed("unshare", [
        ...["--mount", "sh", "-c", ENTER, "sh", chroot, "/usr/bin/env", "-i"],
        ...["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "CNB_PLATFORM_API=0.14", "CNB_NO_COLOR=true"],
        ...[`CNB_USER_ID=${ID}`, `CNB_GROUP_ID=${ID}`, "CNB_STACK_ID=wherry.debian"],
        ...["/go/creator", "-cache-dir", `/cache/${example.name}`, "-run-image", runImage],
        `${host}/theirs-${example.name}`,
      ]);
      return {
        creator,
        byHand: { wall: creator.wall + around.wall, cpu: creator.cpu + around.cpu },
      };
    };
    await compare(example.name, ours, theirs);
  }
}

/** What the last build left. A platform removes it after the build, which nobody waits for. */
const LEAVE = `rm -rf "$1/workspace" "$1/layers" "$1/platform"`;

/** A workspace, layers and platform as a platform hands them over. */
const FRESH = `root=$1 app=$2 owner=$3; shift 3
mkdir -p "$root/layers" "$root/platform/env" "$root/cache/\${app##*/}" && cp -R "$app" "$root/workspace"
for pair; do printf %s "\${pair#*=}" >"$root/platform/env/\${pair%%=*}"; done
chown -R "$owner" "$root/workspace" "$root/layers" "$root/cache"`;

const ENTER = `mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$@"`;

function envFiles({ env = {} }: Example): readonly string[] {
  return Object.entries(env).map((pair) => pair.join("="));
}

type Times = { readonly wall: number; readonly cpu: number };
type Theirs = { readonly creator: Times; readonly byHand: Times };

const ROUNDS = 3;

async function compare(
  name: string,
  ours: () => Promise<Times>,
  theirs: () => Promise<Theirs>,
): Promise<void> {
  tell(`${name}, first`, await ours(), await theirs());
  const own: Times[] = [];
  const others: Theirs[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    own.push(await ours());
    others.push(await theirs());
  }
  const best = (all: readonly Times[]) => all.reduce((a, b) => b.wall < a.wall ? b : a);
  tell(`${name}, again`, best(own), {
    creator: best(others.map(({ creator }) => creator)),
    byHand: best(others.map(({ byHand }) => byHand)),
  });
}

function tell(what: string, ours: Times, { creator, byHand }: Theirs): void {
  const told = ({ wall, cpu }: Times) =>
    `${(wall / 1000).toFixed(2).padStart(6)} s ${(cpu / 1000).toFixed(2).padStart(6)} s of CPU`;
  const ratio = (theirs: Times) =>
    `${(theirs.wall / ours.wall).toFixed(2)} x, CPU ${(theirs.cpu / ours.cpu).toFixed(2)} x`;
  console.log(
    `${what.padEnd(20)} wherry ${told(ours)}   creator ${told(creator)}   by hand ${
      told(byHand)
    }   ratio: creator ${ratio(creator)}; by hand ${ratio(byHand)}`,
  );
}
