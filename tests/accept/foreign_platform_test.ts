/**
 * The executable in the place of `/cnb/lifecycle` in a builder, run by other platforms: kpack's build pod (platform API
 * 0.7 to 0.9) and the Tekton tasks buildpacks-phases 0.3 and buildpacks 0.7, with the flags, variables, mounts and
 * rights that their sources give each container. Containers are crun's.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { parse } from "smol-toml";
import { canMakeBase, CNB_ID, writeBase } from "./base_image_testing.ts";
import { canRun, unpack } from "./container_testing.ts";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import {
  installed,
  makeScene,
  type Outcome,
  ROOT,
  type Scene,
  startProcess,
  tool,
  WHERRY,
  writeFiles,
} from "./wherry_testing.ts";

const ignore = !canRun || !canMakeBase() || !installed("skopeo");

/** What a container is started with. */
interface Step {
  readonly phase: string;
  readonly args: readonly string[];
  /** Beside PATH and what the builder has. */
  readonly env?: Readonly<Record<string, string>>;
  /** Directories of the pod that it sees, by where it sees them. Default: all. */
  readonly mounts?: readonly string[];
}

/** The volumes of a pod, by where containers see them. */
const VOLUMES = [
  "/layers",
  "/workspace",
  "/platform",
  "/cache",
  "/builder/home",
  "/var/report",
  "/tekton/home",
] as const;

const PASSWD = `root:x:0:0:root:/root:/bin/sh\ncnb:x:${CNB_ID}:${CNB_ID}::/home/cnb:/bin/sh\n`;

const BUILD = `#!/bin/sh
set -e
[ -z "$CNB_REGISTRY_AUTH$DOCKER_CONFIG" ]
echo "found: $(ls "$1" | tr '\\n' ' ')"
echo "binding root: \${SERVICE_BINDING_ROOT-unset}"
[ ! -e "$2/env/GREETING" ] || echo "told: $GREETING"
mkdir -p "$1/deps/bin" "$1/tool"
printf '#!/bin/sh\\necho "hello from $0"\\n' > "$1/deps/bin/hello"
chmod 755 "$1/deps/bin/hello"
echo tool > "$1/tool/file"
printf '[types]\\nlaunch = true\\n[metadata]\\nversion = "1"\\n' > "$1/deps.toml"
printf '[types]\\ncache = true\\nbuild = true\\n' > "$1/tool.toml"
printf '[[processes]]\\ntype = "web"\\ncommand = "hello"\\ndirect = true\\n' > "$1/launch.toml"
`;

/** A builder's file system: programs, wherry under the names of the lifecycle, one buildpack, what it knows of run images. */
async function makeBuilder(root: string, host: string, launcher: boolean): Promise<void> {
  await writeFiles(root, {
    "etc/passwd": PASSWD,
    "etc/group": `root:x:0:\ncnb:x:${CNB_ID}:\n`,
    "etc/os-release": "ID=busybox\nVERSION_ID=1\n",
    "cnb/order.toml": '[[order]]\n[[order.group]]\nid = "some/bp"\nversion = "1.0"\n',
    "cnb/run.toml": `[[images]]\nimage = "${host}/run:1"\n`,
    "cnb/stack.toml": `[run-image]\nimage = "${host}/run:1"\n`,
    "cnb/buildpacks/some_bp/1.0/buildpack.toml":
      'api = "0.8"\n[buildpack]\nid = "some/bp"\nversion = "1.0"\n[[stacks]]\nid = "*"\n',
    "cnb/buildpacks/some_bp/1.0/bin/detect": "#!/bin/sh\n[ -f app.txt ]\n",
    "cnb/buildpacks/some_bp/1.0/bin/build": BUILD,
    ...Object.fromEntries(
      ["tmp", "proc", "dev", "home/cnb", "bin", "cnb/lifecycle"].map((dir) => [dir, null] as const),
    ),
    ...Object.fromEntries(VOLUMES.map((dir) => [dir.slice(1), null] as const)),
  });
  await Deno.chmod(`${root}/tmp`, 0o1777);
  await Deno.copyFile("/bin/busybox", `${root}/bin/busybox`);
  await Deno.chmod(`${root}/bin/busybox`, 0o755);
  for (const applet of ["sh", "ls", "tr", "mkdir", "chmod", "cat"]) {
    await Deno.symlink("busybox", `${root}/bin/${applet}`);
  }
  await Deno.copyFile(WHERRY, `${root}/cnb/lifecycle/lifecycle`);
  await Deno.chmod(`${root}/cnb/lifecycle/lifecycle`, 0o755);
  for (const name of ["analyzer", "detector", "restorer", "builder", "exporter", "creator"]) {
    await Deno.symlink("lifecycle", `${root}/cnb/lifecycle/${name}`);
  }
  if (!launcher) return;
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
  await Deno.copyFile(`${ROOT}dist/native/${arch}/launcher`, `${root}/cnb/lifecycle/launcher`);
  await Deno.chmod(`${root}/cnb/lifecycle/launcher`, 0o755);
}

/** A pod: a builder, and volumes that its containers share. */
interface Pod {
  /** Where a volume lies on this machine. */
  volume(name: (typeof VOLUMES)[number]): string;
  /** Runs a container as the builder's user, without capabilities or a way to get any. */
  run(step: Step): Promise<Outcome>;
}

let count = 0;

async function makePod(scene: Scene, host: string, launcher: boolean): Promise<Pod> {
  const bundle = `${scene.dir}/pod-${++count}`;
  await makeBuilder(`${bundle}/rootfs`, host, launcher);
  const volume = (name: string) => `${bundle}/volumes/${name.slice(1).replaceAll("/", "-")}`;
  for (const name of VOLUMES) {
    await Deno.mkdir(volume(name), { recursive: true });
    await Deno.chown(volume(name), CNB_ID, CNB_ID);
  }
  await Deno.writeTextFile(`${volume("/workspace")}/app.txt`, "the app");
  await Deno.mkdir(`${volume("/platform")}/env`);
  return {
    volume,
    async run({ phase, args, env = {}, mounts = VOLUMES }) {
      const flags = ["nosuid", "noexec", "nodev"];
      const spec = {
        ociVersion: "1.0.2",
        root: { path: "rootfs", readonly: false },
        process: {
          terminal: false,
          user: { uid: CNB_ID, gid: CNB_ID },
          args: [`/cnb/lifecycle/${phase}`, ...args],
          env: Object.entries({
            PATH: "/cnb/lifecycle:/bin",
            CNB_USER_ID: `${CNB_ID}`,
            CNB_GROUP_ID: `${CNB_ID}`,
            CNB_STACK_ID: "some.stack",
            ...env,
          }).map(([name, value]) => `${name}=${value}`),
          cwd: "/layers",
          capabilities: {},
          noNewPrivileges: true,
        },
        mounts: [
          { destination: "/proc", type: "proc", source: "proc" },
          { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
          { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["mode=1777", ...flags] },
          ...mounts.map((destination) => ({
            destination,
            type: "bind",
            source: volume(destination),
            options: ["rbind", "rw"],
          })),
        ],
        linux: { namespaces: ["pid", "mount", "ipc", "uts"].map((type) => ({ type })) },
      };
      await Deno.writeTextFile(`${bundle}/config.json`, JSON.stringify(spec));
      const script = `. ${ROOT}scripts/crun.sh; run_bundle "$1" "$2"`;
      const id = `wherry-foreign-${crypto.randomUUID()}`;
      const ended = await startProcess("sh", ["-c", script, "sh", bundle, id]).ended;
      strictEqual(ended.stderr, "", `${phase}: LOG-1 all is said on stdout`);
      return ended;
    },
  };
}

/** Runs steps, each of which must end well; what they said. */
async function runAll(pod: Pod, steps: readonly Step[]): Promise<Record<string, string>> {
  const said: Record<string, string> = {};
  for (const step of steps) {
    const { code, stdout } = await pod.run(step);
    strictEqual(code, 0, `${step.phase}: ${stdout}`);
    said[step.phase] = stdout;
  }
  return said;
}

/** A run image in the registry at `host`. */
async function pushRun(scene: Scene, host: string): Promise<void> {
  await writeBase(`${scene.dir}/base`, 1);
  const to = `docker://${host}/run:1`;
  await tool("skopeo", ["copy", "-q", "--dest-tls-verify=false", `oci:${scene.dir}/base:1`, to]);
}

/** What a container of the image says. */
async function start(scene: Scene, name: string): Promise<string> {
  const layout = `${scene.dir}/started-${++count}`;
  const from = `docker://${name}`;
  await tool("skopeo", ["copy", "-q", "--src-tls-verify=false", from, `oci:${layout}:1`]);
  const { stdout, stderr, code } = await (await unpack(layout, "1", `${layout}-bundle`)).run();
  strictEqual(code, 0, stderr);
  return stdout;
}

async function digestOf(name: string): Promise<string> {
  const args = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}", `docker://${name}`];
  return (await tool("skopeo", args)).trim();
}

/** Its oldest and its newest; the newest also again, with each kind of cache. */
for (const [api, whole] of [["0.7", false], ["0.9", true]] as const) {
  Deno.test({
    name: `kpack's build pod, platform API ${api}${
      whole ? ", with a cache volume and a cache image" : ""
    }`,
    ignore: ignore || !hasRegistry,
    fn: async () => {
      await using registry = await startRegistry();
      const { host } = registry;
      await using scene = await makeScene();
      await pushRun(scene, host);
      const pod = await makePod(scene, host, false);
      const home = { HOME: "/builder/home" };
      const bindings = { SERVICE_BINDING_ROOT: "/platform/bindings" };
      const version = { CNB_PLATFORM_API: api };
      const tags = [`${host}/app`, `${host}/app:b1`];
      const build = (cache: readonly string[], analyzerCache: readonly string[], last: string) =>
        runAll(pod, [
          {
            phase: "analyzer",
            args: [
              ...["-layers=/layers", "-analyzed=/layers/analyzed.toml"],
              ...[`-run-image=${host}/run:1`, ...analyzerCache, `-tag=${tags[1]}`],
              ...(last === "" ? [] : [`-previous-image=${last}`]),
              tags[0]!,
            ],
            env: { ...home, ...version, ...bindings },
            mounts: ["/layers", "/workspace", "/builder/home"],
          },
          {
            phase: "detector",
            args: ["-app=/workspace", "-group=/layers/group.toml", "-plan=/layers/plan.toml"],
            env: { ...version, ...bindings },
            mounts: ["/layers", "/platform", "/workspace"],
          },
          {
            phase: "restorer",
            args: [
              ...["-group=/layers/group.toml", "-layers=/layers", ...cache],
              "-analyzed=/layers/analyzed.toml",
            ],
            env: { ...home, ...version },
            mounts: ["/layers", "/builder/home", "/cache"],
          },
          {
            phase: "builder",
            args: [
              ...["-layers=/layers", "-app=/workspace", "-group=/layers/group.toml"],
              "-plan=/layers/plan.toml",
            ],
            env: { ...version, ...bindings },
            mounts: ["/layers", "/platform", "/workspace"],
          },
          {
            phase: "exporter",
            args: [
              ...["-layers=/layers", "-app=/workspace", "-group=/layers/group.toml"],
              "-analyzed=/layers/analyzed.toml",
              ...["-project-metadata=/layers/project-metadata.toml", ...cache],
              ...["-process-type=web", "-report=/var/report/report.toml", ...tags],
            ],
            env: {
              ...home,
              ...version,
              SOURCE_DATE_EPOCH: "1700000000",
              CNB_RUN_IMAGE: `${host}/run:1`,
            },
            mounts: ["/layers", "/workspace", "/builder/home", "/var/report", "/cache"],
          },
        ]);
      const report = async () =>
        parse(await Deno.readTextFile(`${pod.volume("/var/report")}/report.toml`)) as {
          image: { digest: string; tags: string[] };
        };
      const first = await build(["-cache-dir=/cache"], [], "");
      match(first["builder"]!, /^found: $/m);
      const { image } = await report();
      deepStrictEqual(image.tags, tags);
      for (const tag of tags) strictEqual(await digestOf(tag), image.digest);
      strictEqual(await start(scene, tags[0]!), "hello from /layers/some_bp/deps/bin/hello\n");

      if (!whole) return;

      // The next pod: its layers volume is empty, the cache volume is the same.
      const empty = async () => {
        await Deno.remove(pod.volume("/layers"), { recursive: true });
        await Deno.mkdir(pod.volume("/layers"));
        await Deno.chown(pod.volume("/layers"), CNB_ID, CNB_ID);
      };
      await empty();
      const second = await build(["-cache-dir=/cache"], [], `${host}/app@${image.digest}`);
      match(second["builder"]!, /^found: deps\.toml tool tool\.toml $/m);
      match(second["exporter"]!, /^Reusing layer 'some\/bp:deps'$/m);
      match(second["exporter"]!, /^Reusing cache layer 'some\/bp:tool'$/m);
      deepStrictEqual(await report(), await report());
      strictEqual((await report()).image.digest, image.digest, "no change, the same image");

      const cache = [`-cache-image=${host}/cache`];
      await empty();
      await build(cache, cache, `${host}/app@${image.digest}`);
      await empty();
      const last = await build(cache, cache, `${host}/app@${image.digest}`);
      match(last["builder"]!, /^found: deps\.toml tool tool\.toml $/m);
      strictEqual((await report()).image.digest, image.digest);
    },
  });
}

/** A registry of ours, over a store. */
async function startServe(
  scene: Scene,
): Promise<AsyncDisposable & { readonly host: string }> {
  const child = scene.start(["serve", "--listen", "127.0.0.1:0"]);
  const line = await child.until(/127\.0\.0\.1:\d+/);
  return {
    host: line,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.ended;
    },
  };
}

Deno.test({
  name: "Tekton's task buildpacks-phases 0.3: empty flags, a cache image, results from the report",
  ignore,
  fn: async () => {
    await using scene = await makeScene();
    await using registry = await startServe(scene);
    const { host } = registry;
    await pushRun(scene, host);
    const pod = await makePod(scene, host, true);
    await Deno.writeTextFile(`${pod.volume("/platform")}/env/GREETING`, "good day");
    const env = {
      CNB_EXPERIMENTAL_MODE: "silent",
      HOME: "/tekton/home",
      CNB_PLATFORM_API: "0.13",
    };
    const ids = [`-uid=${CNB_ID}`, `-gid=${CNB_ID}`];
    const build = (cacheDir: string, cacheImage: string) =>
      runAll(pod, [
        {
          phase: "analyzer",
          args: [
            ...["-log-level=info", "-layers=/layers", "-run-image=", `-cache-image=${cacheImage}`],
            ...[...ids, "-insecure-registry=", "-tag=", "-skip-layers=false", `${host}/app`],
          ],
          env,
        },
        {
          phase: "detector",
          args: [
            ...["-log-level=info", "-app=/workspace/", "-group=/layers/group.toml"],
            ...["-plan=/layers/plan.toml", "-layers=/layers", "-platform=/platform"],
          ],
          env,
        },
        {
          phase: "restorer",
          args: [
            ...["-log-level=info", `-build-image=${host}/run:1`, "-group=/layers/group.toml"],
            ...["-layers=/layers", `-cache-dir=${cacheDir}`, `-cache-image=${cacheImage}`, ...ids],
            ...["-insecure-registry=", "-skip-layers=false"],
          ],
          // The script of this step names its variables as the lifecycle does.
          env: {
            ...env,
            CNB_LOG_LEVEL: "info",
            CNB_BUILD_IMAGE: "",
            CNB_CACHE_IMAGE: cacheImage,
            CNB_INSECURE_REGISTRIES: "",
            CNB_SKIP_LAYERS: "false",
          },
        },
        {
          phase: "builder",
          args: [
            ...["-log-level=info", "-app=/workspace/", "-layers=/layers"],
            ...["-group=/layers/group.toml", "-plan=/layers/plan.toml", "-platform=/platform"],
          ],
          env,
        },
        {
          phase: "exporter",
          args: [
            ...["-log-level=info", "-app=/workspace/", "-layers=/layers"],
            ...["-group=/layers/group.toml", `-cache-dir=${cacheDir}`],
            ...[`-cache-image=${cacheImage}`, "-report=/layers/report.toml", "-process-type=web"],
            ...[...ids, "-insecure-registry=", `${host}/app`],
          ],
          env,
        },
      ]);
    const first = await build("", `${host}/cache`);
    match(first["builder"]!, /^told: good day$/m);
    const data = parse(await Deno.readTextFile(`${pod.volume("/layers")}/report.toml`));
    const { digest, tags } = data["image"] as { digest: string; tags: string[] };
    deepStrictEqual(tags, [`${host}/app`]);
    strictEqual(await digestOf(tags[0]!), digest);
    strictEqual(await start(scene, tags[0]!), "hello from /layers/some_bp/deps/bin/hello\n");
    const second = await build("", `${host}/cache`);
    match(second["exporter"]!, /^Reusing layer 'some\/bp:deps'$/m);
    match(second["exporter"]!, /^Reusing cache layer 'some\/bp:tool'$/m);
    // With the workspace for the cache instead.
    await build("/cache", "");
    const third = await build("/cache", "");
    match(third["exporter"]!, /^Reusing cache layer 'some\/bp:tool'$/m);
    strictEqual(await digestOf(tags[0]!), digest);
  },
});

Deno.test({
  name:
    "Tekton's task buildpacks 0.7: the creator, credentials in a workspace, the result cut out by grep",
  ignore: ignore || !hasRegistry || !installed("htpasswd"),
  fn: async () => {
    await using registry = await startRegistry({ ci: "secret" });
    const { host } = registry;
    await using scene = await makeScene();
    await writeBase(`${scene.dir}/base`, 1);
    const creds = ["--dest-creds=ci:secret", "--dest-tls-verify=false"];
    await tool("skopeo", [
      "copy",
      "-q",
      ...creds,
      `oci:${scene.dir}/base:1`,
      `docker://${host}/run:1`,
    ]);
    const pod = await makePod(scene, host, true);
    const auths = { [host]: { auth: btoa("ci:secret") } };
    await Deno.writeTextFile(
      `${pod.volume("/tekton/home")}/config.json`,
      JSON.stringify({ auths }),
    );
    const create = async (config: string, cacheDir: string, skip: string) =>
      await pod.run({
        phase: "creator",
        args: [
          ...["-app=/workspace/", `-cache-dir=${cacheDir}`, "-cache-image=", `-uid=${CNB_ID}`],
          ...[`-gid=${CNB_ID}`, "-layers=/layers", "-platform=/platform"],
          ...["-report=/layers/report.toml", "-process-type=web", `-skip-restore=${skip}`],
          ...[`-previous-image=${host}/app`, "-run-image=", `${host}/app`],
        ],
        env: { CNB_PLATFORM_API: "0.9", DOCKER_CONFIG: config },
      });
    const anonymous = await create("", "", "false");
    ok(anonymous.code === 3 || anonymous.code === 32, `${anonymous.code} ${anonymous.stdout}`);
    for (const skip of ["false", "false", "true"]) {
      const { code, stdout } = await create("/tekton/home", "/cache", skip);
      strictEqual(code, 0, stdout);
      strictEqual(stdout.match(/===> [A-Z]+/g)?.length, skip === "true" ? 4 : 5, "LOG-3 CR-3");
    }
    const report = `${pod.volume("/layers")}/report.toml`;
    const script = `grep "digest" "$1" | cut -d'"' -f2 | cut -d'"' -f2 | tr -d '\\n'`;
    const digest = await tool("sh", ["-c", script, "sh", report]);
    const inspect = [
      "inspect",
      "--tls-verify=false",
      "--creds=ci:secret",
      "--format",
      "{{.Digest}}",
    ];
    strictEqual((await tool("skopeo", [...inspect, `docker://${host}/app`])).trim(), digest);
  },
});
