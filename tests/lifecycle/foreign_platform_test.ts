/**
 * Builds as other platforms run them: the executable under the names of `/cnb/lifecycle`, five phases as five processes,
 * with the flags and variables that kpack (build_pod.go) and the Tekton task buildpacks-phases 0.3 pass.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import {
  dockerRegistry,
  startDockerRegistry,
} from "../../registry/client/docker_registry_testing.ts";
import { connectRegistry } from "../../registry/client/client.ts";
import { pushRunImage } from "../oracle/run_image.ts";
import { place } from "./place_testing.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const WHERRY = Deno.env.get("WHERRY") ?? `${ROOT}dist/wherry`;

/** Whether there is an executable that is a lifecycle; `deno task build` makes it. */
const ignore = Deno.uid() !== 0 || dockerRegistry === undefined || !isLifecycle();

function isLifecycle(): boolean {
  try {
    return new Deno.Command(WHERRY, { args: ["lifecycle", "-version"] }).outputSync().success;
  } catch {
    return false;
  }
}

interface Platform extends AsyncDisposable {
  readonly host: string;
  readonly root: string;
  /** Runs one phase; `user` as `uid:gid`. */
  run(
    phase: string,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
    user?: number,
  ): Promise<{ readonly code: number; readonly text: string }>;
  inspect(name: string): Promise<{
    readonly config: {
      readonly Entrypoint: string[];
      readonly Env: string[];
      readonly User: string;
    };
    readonly created: string;
    readonly rootfs: { readonly diff_ids: string[] };
  }>;
}

const BUILD = `#!/bin/sh
set -e
[ -z "$CNB_REGISTRY_AUTH" ]
echo "seen: $(ls "$1" | tr '\\n' ' ')"
mkdir -p "$1/deps" "$1/cached"
echo dependency > "$1/deps/file"
echo tool > "$1/cached/tool"
printf '[types]\\nlaunch = true\\n[metadata]\\nversion = "1"\\n' > "$1/deps.toml"
printf '[types]\\ncache = true\\nbuild = true\\n' > "$1/cached.toml"
printf '[[processes]]\\ntype = "web"\\ncommand = "run"\\n' > "$1/launch.toml"
`;

async function platform(): Promise<Platform> {
  const stack = new AsyncDisposableStack();
  const registry = stack.use(await startDockerRegistry());
  const root = await Deno.makeTempDir({ prefix: "wherry-foreign-" });
  stack.defer(() => Deno.remove(root, { recursive: true }));
  await Deno.chmod(root, 0o755);
  await pushRunImage(registry.host);
  for (
    const name of ["lifecycle", "layers", "workspace", "platform/env", "cache", "report", "home"]
  ) {
    await Deno.mkdir(`${root}/${name}`, { recursive: true });
  }
  await Deno.copyFile(WHERRY, `${root}/lifecycle/wherry`);
  await Deno.chmod(`${root}/lifecycle/wherry`, 0o755);
  for (const name of ["analyzer", "detector", "restorer", "builder", "exporter", "creator"]) {
    await Deno.symlink("wherry", `${root}/lifecycle/${name}`);
  }
  const buildpack = `${root}/buildpacks/some_bp/1.0`;
  await Deno.mkdir(`${buildpack}/bin`, { recursive: true });
  const toml = 'api = "0.7"\n[buildpack]\nid = "some/bp"\nversion = "1.0"\n[[stacks]]\nid = "*"\n';
  await Deno.writeTextFile(`${buildpack}/buildpack.toml`, toml);
  await Deno.writeTextFile(`${buildpack}/bin/detect`, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  await Deno.writeTextFile(`${buildpack}/bin/build`, BUILD, { mode: 0o755 });
  const order = '[[order]]\n[[order.group]]\nid = "some/bp"\nversion = "1.0"\n';
  await Deno.writeTextFile(`${root}/order.toml`, order);
  await Deno.writeTextFile(`${root}/workspace/app.txt`, "app");
  for (const name of ["layers", "workspace", "cache", "report", "home"]) {
    await Deno.chown(`${root}/${name}`, 1000, 1000);
  }
  return {
    host: registry.host,
    root,
    async run(phase, args, env = {}, user = 1000) {
      const { code, stdout, stderr } = await new Deno.Command("setpriv", {
        args: [
          ...[`--reuid=${user}`, `--regid=${user}`, "--clear-groups", "--"],
          ...[`${root}/lifecycle/${phase}`, ...args],
        ],
        clearEnv: true,
        env: {
          PATH: "/usr/bin:/bin",
          HOME: `${root}/home`,
          CNB_BUILDPACKS_DIR: `${root}/buildpacks`,
          CNB_ORDER_PATH: `${root}/order.toml`,
          CNB_LAYERS_DIR: `${root}/layers`,
          CNB_PLATFORM_DIR: `${root}/platform`,
          CNB_NO_COLOR: "true",
          CNB_REGISTRY_AUTH: JSON.stringify({ "registry.example": "Basic Zm9vOmJhcg==" }),
          ...env,
        },
        stdin: "null",
      }).output();
      const words = new TextDecoder();
      strictEqual(words.decode(stderr), "", "LOG-1: all is said on stdout");
      return { code, text: words.decode(stdout) };
    },
    async inspect(name) {
      const args = ["inspect", "--tls-verify=false", "--config", "--raw", `docker://${name}`];
      const { stdout } = await new Deno.Command("skopeo", { args }).output();
      return JSON.parse(new TextDecoder().decode(stdout));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

Deno.test({
  name: "CLI-1 IN-0 RPT-1 kpack: five processes, platform API 0.9, user 1000, then again",
  ignore,
  async fn() {
    await using kpack = await platform();
    const { root, host } = kpack;
    const env = { CNB_PLATFORM_API: "0.9", CNB_USER_ID: "1000", CNB_GROUP_ID: "1000" };
    const tags = [`${host}/app:latest`, `${host}/app:b1`];
    const layers = `-layers=${root}/layers`;
    const group = `-group=${root}/layers/group.toml`;
    const analyzed = `-analyzed=${root}/layers/analyzed.toml`;
    const said: string[] = [];
    const seen: string[] = [];
    for (const round of [1, 2]) {
      await Deno.remove(`${root}/layers`, { recursive: true });
      await Deno.mkdir(`${root}/layers`);
      await Deno.chown(`${root}/layers`, 1000, 1000);
      const steps: [string, string[], Record<string, string>][] = [
        [
          "analyzer",
          [layers, analyzed, `-run-image=${host}/run:base`, `-tag=${tags[1]}`, tags[0]!],
          {},
        ],
        ["detector", [`-app=${root}/workspace`, group, `-plan=${root}/layers/plan.toml`], {}],
        ["restorer", [group, layers, `-cache-dir=${root}/cache`, analyzed], {}],
        ["builder", [
          ...[layers, `-app=${root}/workspace`, group, `-plan=${root}/layers/plan.toml`],
        ], { SERVICE_BINDING_ROOT: "/platform/bindings" }],
        ["exporter", [
          ...[layers, `-app=${root}/workspace`, group, analyzed],
          `-project-metadata=${root}/layers/project-metadata.toml`,
          ...[
            `-cache-dir=${root}/cache`,
            "-process-type=web",
            `-report=${root}/report/report.toml`,
          ],
          ...tags,
        ], { SOURCE_DATE_EPOCH: "1700000000", CNB_RUN_IMAGE: `${host}/run:base` }],
      ];
      for (const [phase, args, more] of steps) {
        const { code, text } = await kpack.run(phase, args, { ...env, ...more });
        strictEqual(code, 0, `round ${round} ${phase}: ${text}`);
        if (phase === "exporter") said.push(text);
        if (phase === "builder") seen.push(text);
      }
    }
    match(said[0]!, /^Adding layer 'some\/bp:deps'$/m);
    match(said[0]!, /^Adding cache layer 'some\/bp:cached'$/m);
    match(said[1]!, /^Reusing layers from image '/m);
    match(said[1]!, /^Reusing layer 'some\/bp:deps'$/m);
    match(said[1]!, /^Reusing cache layer 'some\/bp:cached'$/m);
    match(said[1]!, /^Reused 1\/1 app layer\(s\)$/m);
    match(seen[0]!, /^seen: $/m);
    match(seen[1]!, /^seen: cached cached.toml deps.toml $/m);
    const [first, second] = await Promise.all(tags.map((tag) => kpack.inspect(tag)));
    deepStrictEqual(first, second);
    deepStrictEqual(first!.config.Entrypoint, ["/cnb/process/web"]);
    strictEqual(first!.created, "2023-11-14T22:13:20Z");
    ok(first!.config.Env.includes("CNB_PLATFORM_API=0.9"));
    const report = await Deno.readTextFile(`${root}/report/report.toml`);
    match(report, /tags = \["127\.0\.0\.1:\d+\/app:latest", "127\.0\.0\.1:\d+\/app:b1"\]/);
    match(report, /digest = "sha256:[0-9a-f]{64}"/);
  },
});

Deno.test({
  name:
    "CLI-3 PRIV-1 PRIV-3 Tekton: empty flags, phases with credentials as root that become the user",
  ignore,
  async fn() {
    await using tekton = await platform();
    const { root, host } = tekton;
    await Deno.chown(`${root}/layers`, 0, 0);
    await Deno.chmod(`${root}/layers`, 0o755);
    const env = { CNB_PLATFORM_API: "0.13", CNB_EXPERIMENTAL_MODE: "silent" };
    const layers = `-layers=${root}/layers`;
    const group = `-group=${root}/layers/group.toml`;
    const user = ["-uid=1000", "-gid=1000"];
    const steps: [string, string[], number][] = [
      ["analyzer", [
        ...["-log-level=info", layers, `-run-image=${host}/run:base`, `-cache-image=${host}/cache`],
        ...[...user, "-insecure-registry=", "-tag=", "-skip-layers=false", `${host}/app`],
      ], 0],
      ["detector", [
        ...["-log-level=info", `-app=${root}/workspace/`, group, `-plan=${root}/layers/plan.toml`],
        ...[layers, `-platform=${root}/platform`],
      ], 1000],
      ["restorer", [
        ...["-log-level=info", `-build-image=${host}/run:base`, group, layers, "-cache-dir="],
        ...[`-cache-image=${host}/cache`, ...user, "-insecure-registry=", "-skip-layers=false"],
      ], 0],
      ["builder", [
        ...["-log-level=info", `-app=${root}/workspace/`, layers, group],
        ...[`-plan=${root}/layers/plan.toml`, `-platform=${root}/platform`],
      ], 1000],
      ["exporter", [
        ...["-log-level=info", `-app=${root}/workspace/`, layers, group, "-cache-dir="],
        ...[
          `-cache-image=${host}/cache`,
          `-report=${root}/layers/report.toml`,
          "-process-type=web",
        ],
        ...[...user, "-insecure-registry=", `${host}/app`],
      ], 0],
    ];
    for (const [phase, args, uid] of steps) {
      const { code, text } = await tekton.run(phase, args, env, uid);
      strictEqual(code, 0, `${phase}: ${text}`);
    }
    strictEqual((await Deno.stat(`${root}/layers`)).uid, 1000, "PRIV-3 the layers were given away");
    strictEqual((await Deno.stat(`${root}/layers/analyzed.toml`)).uid, 1000);
    match(await Deno.readTextFile(`${root}/layers/analyzed.toml`), /^\[build-image\]$/m);
    deepStrictEqual((await tekton.inspect(`${host}/app`)).config.Entrypoint, ["/cnb/process/web"]);
    ok((await tekton.inspect(`${host}/cache`)).rootfs.diff_ids.length > 0);
    for (const phase of ["detector", "builder"]) {
      const { code, text } = await tekton.run(phase, [layers], env, 0);
      strictEqual(code, 1);
      match(text, /^ERROR: failed to (detect|build): refusing to run as root$/m);
    }
  },
});

Deno.test({
  name:
    "CR-1 PRIV-4 LOG-3 a shell script: creator as root, becomes the user, with HOME of the image",
  ignore,
  async fn() {
    await using script = await platform();
    const { root, host } = script;
    const { code, text } = await script.run(
      "creator",
      [
        ...[`-app=${root}/workspace`, `-run-image=${host}/run:base`, `-cache-dir=${root}/cache`],
        ...["-uid=1", "-gid=1", "-tag", `${host}/app:two`, `${host}/app:one`],
      ],
      { CNB_PLATFORM_API: "0.12" },
      0,
    );
    strictEqual(code, 0, text);
    deepStrictEqual(text.match(/^===> .*$/mg), [
      "===> ANALYZING",
      "===> DETECTING",
      "===> RESTORING",
      "===> BUILDING",
      "===> EXPORTING",
    ]);
    strictEqual((await Deno.stat(`${root}/layers/some_bp/deps/file`)).uid, 1);
    deepStrictEqual(
      await script.inspect(`${host}/app:one`),
      await script.inspect(`${host}/app:two`),
    );
  },
});

Deno.test({
  name:
    "PRIV-2 secrets only root can read are read before root becomes the user, and buildpacks get none",
  ignore,
  async fn() {
    await using shell = await platform();
    const { root, host } = shell;
    await using closed = await place(host, { user: "ci" });
    const home = `${root}/roots-own`;
    await Deno.mkdir(`${home}/.docker`, { recursive: true });
    const auths = { [closed.host]: { auth: btoa("ci:p") } };
    await Deno.writeTextFile(`${home}/.docker/config.json`, JSON.stringify({ auths }), {
      mode: 0o600,
    });
    await Deno.chmod(home, 0o700);
    const env = { CNB_PLATFORM_API: "0.13", HOME: home, CNB_REGISTRY_AUTH: "{}" };
    const words = ["-uid=1000", "-gid=1000", `-run-image=${closed.host}/run:base`];
    const { code, text } = await shell.run(
      "creator",
      [
        `-app=${root}/workspace`,
        ...words,
        `-cache-image=${closed.host}/cache`,
        `${closed.host}/app`,
      ],
      env,
      0,
    );
    strictEqual(code, 0, text);
    ok(closed.seen.includes("PUT /v2/app/manifests/latest ci"));
    ok(closed.seen.includes("PUT /v2/cache/manifests/latest ci"));
    strictEqual((await Deno.stat(`${root}/layers/some_bp/deps/file`)).uid, 1000);
    // As the user alone the same is refused.
    const alone = await shell.run("analyzer", [...words, `${closed.host}/app`], env, 1000);
    strictEqual(alone.code, 32, alone.text);
    match(alone.text, /^ERROR: .*401/m);
  },
});

/** A phase as the platform starts it, that can be told to end. */
function spawn(root: string, phase: string, args: readonly string[], tmp: string) {
  return new Deno.Command("setpriv", {
    args: [
      ...["--reuid=1000", "--regid=1000", "--clear-groups", "--"],
      ...[`${root}/lifecycle/${phase}`, ...args],
    ],
    clearEnv: true,
    env: {
      PATH: "/usr/bin:/bin",
      HOME: `${root}/home`,
      TMPDIR: tmp,
      CNB_PLATFORM_API: "0.13",
      CNB_BUILDPACKS_DIR: `${root}/buildpacks`,
      CNB_LAYERS_DIR: `${root}/layers`,
      CNB_PLATFORM_DIR: `${root}/platform`,
      CNB_APP_DIR: `${root}/workspace`,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
}

Deno.test({
  name:
    "SIG-1 a builder that is told to end takes its buildpack along and leaves no temporary files",
  ignore,
  async fn() {
    await using shell = await platform();
    const { root, host } = shell;
    const tmp = `${root}/tmp`;
    await Deno.mkdir(tmp);
    await Deno.chown(tmp, 1000, 1000);
    const script = `${root}/buildpacks/some_bp/1.0/bin/build`;
    // The shell and what it starts, both deaf to nothing; "ready" says that both are there.
    await Deno.writeTextFile(script, '#!/bin/sh\nsleep 600 &\necho "ready $$ $!"\nwait\n', {
      mode: 0o755,
    });
    const env = { CNB_PLATFORM_API: "0.13" };
    for (
      const [phase, args] of [
        ["analyzer", [`-run-image=${host}/run:base`, `${host}/app`]],
        ["detector", [`-app=${root}/workspace`]],
      ] as const
    ) {
      const { code, text } = await shell.run(phase, args, env);
      strictEqual(code, 0, text);
    }
    const builder = spawn(root, "builder", [], tmp);
    let said = "";
    const words = new TextDecoder();
    const reader = builder.stdout.getReader();
    while (!/^ready \d+ \d+$/m.test(said)) {
      const { done, value } = await reader.read();
      ok(!done, said);
      said += words.decode(value, { stream: true });
    }
    builder.kill("SIGTERM");
    while (!(await reader.read()).done);
    const { code, signal } = await builder.status;
    ok(signal === "SIGTERM" || code === 143, `${code} ${signal}`);
    deepStrictEqual([...Deno.readDirSync(tmp)].map(({ name }) => name), []);
    // The pipe has ended, so nobody who had it is alive; and the numbers are free.
    for (const pid of /ready (\d+) (\d+)/.exec(said)!.slice(1)) {
      const comm = await Deno.readTextFile(`/proc/${pid}/comm`).catch(() => "");
      ok(!/^(sleep|sh|build)\n$/.test(comm), `${pid} is still ${comm}`);
    }
  },
});

Deno.test({
  name: "SIG-1 an exporter that is killed before the manifest leaves the tag as it was",
  ignore,
  async fn() {
    await using shell = await platform();
    const { root } = shell;
    const held = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    await using slow = await place(shell.host, {
      before: async ({ method, url }) => {
        if (method !== "PUT" || !url.includes("/v2/app/manifests/")) return;
        held.resolve();
        await over.promise;
        throw new Error("the client is gone");
      },
    });
    const steps = {
      analyzer: [`-run-image=${slow.host}/run:base`, `${slow.host}/app`],
      detector: [`-app=${root}/workspace`],
      restorer: [],
      builder: [`-app=${root}/workspace`],
    };
    for (const [phase, words] of Object.entries(steps)) {
      const { code, text } = await shell.run(phase, words, { CNB_PLATFORM_API: "0.13" });
      strictEqual(code, 0, text);
    }
    const exporter = spawn(root, "exporter", [`${slow.host}/app`], "/tmp");
    const said = new Response(exporter.stdout).text();
    await Promise.race([held.promise, exporter.status]);
    exporter.kill("SIGKILL");
    strictEqual((await exporter.status).signal, "SIGKILL", await said);
    over.resolve();
    ok(slow.seen.some((line) => line.includes("/v2/app/blobs/uploads/")), "blobs went out before");
    await using registry = connectRegistry(slow.host);
    strictEqual(await registry.stat("app", "latest"), undefined);
    ok(!(await Deno.stat(`${root}/layers/report.toml`).then(() => true, () => false)));
  },
});
