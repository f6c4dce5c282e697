/** What the documents tell others to type: the demo, images from inside Maven and Gradle, jobs of CI engines. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { type BaseTag, cachedLayout, missingImages } from "../../scripts/base_images.ts";
import { canMakeBase, writeBase, writeBuildBase, writeLibraryBase } from "./base_image_testing.ts";
import { answers, canRun, unpack } from "./container_testing.ts";
import { engineSeccomp } from "./seccomp_testing.ts";
import { hasRegistry, startRegistry } from "./registry_testing.ts";
import {
  copyDir,
  EXAMPLES,
  installed,
  makeScene,
  ROOT,
  type Scene,
  startProcess,
  WHERRY,
} from "./wherry_testing.ts";

const HOME = Deno.env.get("HOME")!;
/** Where scripts/setup.sh keeps what it downloads. */
const TOOLS = Deno.env.get("WHERRY_TOOLS") || `${HOME}/.cache/wherry-build`;

const DEMO: readonly BaseTag[] = ["java", "run", "run2"];
const missing = Deno.uid() === 0 ? await missingImages(cachedLayout(), DEMO) : DEMO;
// deno-lint-ignore no-console
if (missing.length > 0) console.log("skipped: the demo, whose base images are not made yet");

Deno.test({
  name: "demo: builder, builds, another JRE, run, inspect and rebase, as docs/demo.md has it",
  ignore: missing.length > 0 || !installed("npm"),
  async fn() {
    const { code, stdout, stderr } = await startProcess(
      "sh",
      [`${ROOT}scripts/demo.sh`, "--cached", "--no-build"],
      { env: { HOME, WHERRY_TOOLS: TOOLS, WHERRY } },
    ).ended;
    assert.equal(code, 0, stderr);
    assert.equal(stdout.match(/It answers: hello from java(, again)? - java 17/g)?.length, 3);
    const [first, again] = stdout.match(/sha256:[0-9a-f]{64}/g)!;
    assert.equal(again, first, "an unchanged app is the same image");
    assert.match(stdout, /nothing changed: (\d+) of \1 layers reused\n/);
    assert.match(stdout, /One class changed: .* layers reused; made: [^,]*\n/);
  },
});

const ready = canRun && canMakeBase();

/** A buildpack for a base that has no more than busybox, and a builder's description that holds it. */
const small = (run: string) => ({
  "bp/buildpack.toml":
    'api = "0.10"\n[buildpack]\nid = "test/small"\nversion = "1"\n[[targets]]\nos = "linux"\n',
  "bp/bin/detect": "#!/bin/sh\n[ -f app.txt ] || exit 100\n",
  "bp/bin/build": `#!/bin/sh
printf '[[processes]]\\ntype = "web"\\ncommand = ["cat", "app.txt"]\\ndefault = true\\n' >"$CNB_LAYERS_DIR/launch.toml"
`,
  "builder.toml": [
    '[[buildpacks]]\nuri = "bp"',
    '[[order]]\n[[order.group]]\nid = "test/small"',
    `[build]\nimage = "oci:base:build"\n[[run.images]]\nimage = "${run}"\n`,
  ].join("\n"),
});

Deno.test({
  name: "a builder whose lifecycle is this executable builds and is built in",
  ignore: !canMakeBase(),
  async fn() {
    await using scene = await makeScene();
    await writeBuildBase(`${scene.dir}/base`);
    await writeBase(`${scene.dir}/base`, 1);
    await scene.write({ ...small("registry.example/run"), "app/app.txt": "the app\n" });
    await scene.ok(["builder", "create", "oci:builder", "--config", "builder.toml"]);
    const files = await scene.ok(["inspect", "oci:builder", "--files"]);
    assert.match(
      files,
      new RegExp(`\\b${(await Deno.stat(WHERRY)).size} .*/cnb/lifecycle/lifecycle\\b`),
    );
    const built = await scene.json([
      ...["build", "oci:out", "--builder", "oci:builder", "--run-image", "oci:base:1"],
      ...["--path", "app"],
    ]);
    assert.deepEqual(built.buildpacks.map(({ id }) => id), ["test/small"]);
  },
});

/** What is said when a build tool cannot get its plugins. */
const OFFLINE = /Could not transfer|Unknown host|offline|Could not resolve/;

/**
 * Runs a build tool in a copy of an example. Its image's name is made of `registry`, a place in the scene, and what the build
 * says.
 *
 * @returns Whether it had what it needs.
 */
async function fromInside(
  scene: Scene,
  example: string,
  command: (registry: string, flags: string) => readonly string[],
): Promise<boolean> {
  await writeLibraryBase(`${scene.dir}/base`);
  await copyDir(`${EXAMPLES}/${example}`, `${scene.dir}/source`);
  const flags = [
    ...["--store", scene.store, "--run-image", `oci:${scene.dir}/base:1`],
    ...["-b", `${EXAMPLES}/buildpacks/jre`, "-b", `${EXAMPLES}/buildpacks/executable-jar`],
    ...["--env", "BP_JRE_MODULES=java.base,jdk.httpserver"],
  ].join(" ");
  const [program, ...args] = command(`oci:${scene.dir}`, flags);
  const options = { cwd: `${scene.dir}/source`, env: { HOME: scene.home } };
  const { code, stdout, stderr } = await startProcess(program!, args, options).ended;
  if (code !== 0 && OFFLINE.test(stdout + stderr)) {
    // deno-lint-ignore no-console
    console.log(`skipped: ${example}, whose plugins cannot be had`);
    return false;
  }
  assert.equal(code, 0, stdout + stderr);
  return true;
}

/** That the image has name and version of the build, and starts with a runtime of the Java that was asked for. */
async function assertShop(scene: Scene): Promise<void> {
  const image = await unpack(`${scene.dir}/shop`, "1.2.0", `${scene.dir}/bundle`);
  const [hello, version] = await answers(image);
  assert.equal(hello, "hello from a build\n");
  assert(parseInt(version!) >= 17, version);
}

Deno.test({
  name: "maven: mvn package makes the image, with name, version and Java version of the POM",
  ignore: !ready || !installed("mvn") || !installed("jlink") || !installed("unzip"),
  async fn() {
    await using scene = await makeScene();
    const repository = `-Dmaven.repo.local=${TOOLS}/maven-repository`;
    const made = await fromInside(scene, "maven-app", (registry, flags) => [
      ...["mvn", "-B", "-q", repository, "package", `-Dwherry=${WHERRY}`],
      ...[`-Dimage.registry=${registry}`, `-Dimage.flags=${flags}`],
    ]);
    if (made) await assertShop(scene);
  },
});

Deno.test({
  name:
    "gradle: a task of type Exec makes the image, with name, version and Java version of the build",
  ignore: !ready || !installed("gradle") || !installed("jlink") || !installed("unzip"),
  async fn() {
    await using scene = await makeScene();
    const made = await fromInside(scene, "gradle-app", (registry, flags) => [
      ...["gradle", "--offline", "--no-daemon", "-q", "image", `-Pwherry=${WHERRY}`],
      ...[`-PimageRegistry=${registry}`, `-PimageFlags=${flags}`],
    ]);
    if (made) await assertShop(scene);
  },
});

Deno.test({
  name: "jre: a Java older than what the build asks for is refused",
  ignore: !installed("java"),
  async fn() {
    await using scene = await makeScene();
    await scene.write({
      "app/META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nMain-Class: shop.Shop\n",
    });
    const { code, stderr } = await scene.run([
      ...["build", "oci:out", "--path", "app", "--run-image", "scratch"],
      ...["-b", `${EXAMPLES}/buildpacks/jre`, "-b", `${EXAMPLES}/buildpacks/executable-jar`],
      ...["--env", "BP_JVM_VERSION=99"],
    ]);
    assert.equal(code, 51, stderr);
    assert.match(stderr, /BP_JVM_VERSION asks for Java 99, the build image has \d+/);
  },
});

interface Task {
  readonly spec: {
    readonly params: readonly { readonly name: string; readonly default?: string }[];
    readonly workspaces: readonly { readonly name: string }[];
    readonly results: readonly { readonly name: string }[];
    readonly steps: readonly {
      readonly env: readonly { readonly name: string; readonly value: string }[];
      readonly script: string;
    }[];
  };
}

const readTask = async () =>
  parse(await Deno.readTextFile(`${EXAMPLES}/ci/tekton-task.yaml`)) as Task;

Deno.test("ci: every recipe is YAML, and the Tekton task uses only what it declares", async () => {
  for (const name of ["gitlab-ci.yml", "circleci-config.yml"]) {
    assert.equal(typeof parse(await Deno.readTextFile(`${EXAMPLES}/ci/${name}`)), "object");
  }
  const { spec } = await readTask();
  const declared = new Set([
    ...spec.params.map(({ name }) => `params.${name}`),
    ...spec.workspaces.map(({ name }) => `workspaces.${name}.path`),
    ...spec.results.map(({ name }) => `results.${name}.path`),
  ]);
  const used = [...JSON.stringify(spec).matchAll(/\$\(((?:params|workspaces|results)[^)]*)\)/g)]
    .map(([, name]) => name!);
  assert.deepEqual(used.filter((name) => !declared.has(name)), []);
  assert.deepEqual([...declared].filter((name) => !used.includes(name)), []);
});

interface Job {
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  /** Names of the image below `team/shop`. */
  readonly tags: readonly string[];
}

/** What each engine runs in its job, with what it sets for it. */
const JOBS: Readonly<Record<string, (host: string, dir: string) => Promise<Job>>> = {
  async GitLab(host, dir) {
    const file = await Deno.readTextFile(`${EXAMPLES}/ci/gitlab-ci.yml`);
    const job = parse(file)["build-image"];
    const variables = Object.entries<string>(job.variables);
    return {
      script: [...job.before_script, ...job.script].join("\n"),
      env: {
        ...Object.fromEntries(variables.map(([k, v]) => [k, v.replace("$CI_PROJECT_DIR", dir)])),
        CI_REGISTRY: host,
        CI_REGISTRY_USER: "robot",
        CI_REGISTRY_PASSWORD: "secret",
        CI_REGISTRY_IMAGE: `${host}/team/shop`,
        CI_COMMIT_SHORT_SHA: "0a1b2c3d",
        CI_COMMIT_REF_SLUG: "main",
      },
      tags: ["0a1b2c3d", "main"],
    };
  },
  async Jenkins(host, dir) {
    const file = await Deno.readTextFile(`${EXAMPLES}/ci/Jenkinsfile`);
    const [, script] = /sh '''\n(.*?)'''/s.exec(file)!;
    const settings = [...file.matchAll(/^ +(\w+) = "(.*)"$/gm)].map((
      [, name, value],
    ) => [name!, value!.replace(/\$\{WORKSPACE(_TMP)?\}/, (_, tmp) => tmp ? `${dir}@tmp` : dir)]);
    return {
      script: script!,
      env: {
        ...Object.fromEntries(settings),
        REGISTRY: host,
        LOGIN_USR: "robot",
        LOGIN_PSW: "secret",
        BUILD_NUMBER: "17",
      },
      tags: ["17"],
    };
  },
  async CircleCI(host, dir) {
    const file = await Deno.readTextFile(`${EXAMPLES}/ci/circleci-config.yml`);
    const { steps } = parse(file).jobs.image;
    return {
      script: steps.flatMap((step: { readonly run?: string }) => step.run ?? []).join("\n"),
      env: {
        WHERRY_STORE: `${dir}/store`,
        REGISTRY: host,
        REGISTRY_USER: "robot",
        REGISTRY_PASSWORD: "secret",
        CIRCLE_SHA1: "f00d",
      },
      tags: ["f00d"],
    };
  },
};

Deno.test({
  name: "ci: the lines of each job log in, build with a builder and publish",
  ignore: !canMakeBase() || !hasRegistry || !installed("curl") || !installed("htpasswd"),
  async fn(test) {
    await using scene = await makeScene();
    await using registry = await startRegistry({ robot: "secret" });
    const host = registry.host;
    // What an administrator did before: a base, and a builder made of it.
    const login = { DOCKER_CONFIG: `${scene.dir}/admin` };
    await Deno.mkdir(login.DOCKER_CONFIG);
    await Deno.writeTextFile(
      `${login.DOCKER_CONFIG}/config.json`,
      JSON.stringify({ auths: { [host]: { auth: btoa("robot:secret") } } }),
    );
    await writeBuildBase(`${scene.dir}/base`);
    await writeBase(`${scene.dir}/base`, 1);
    await scene.ok(["copy", "oci:base:1", `${host}/run`], { env: login });
    await scene.write(small(`${host}/run`));
    const create = ["builder", "create", `${host}/tools/builder`, "--config", "builder.toml"];
    await scene.ok([...create, "--publish"], { env: login });

    const digests = new Set<string>();
    for (const [engine, jobOf] of Object.entries(JOBS)) {
      await test.step(engine, async () => {
        const dir = `${scene.dir}/${engine}`;
        await scene.write({ [`${engine}/app/app.txt`]: "the app\n" });
        const { script, env, tags } = await jobOf(host, dir);
        const { code, stderr } = await startProcess("sh", ["-c", `set -e\n${script}`], {
          cwd: dir,
          env: { HOME: scene.home, WHERRY_URL: `file://${WHERRY}`, ...env },
        }).ended;
        assert.equal(code, 0, stderr);
        const { digest } = JSON.parse(await Deno.readTextFile(`${dir}/image.json`));
        digests.add(digest);
        for (const tag of tags) {
          const words = ["inspect", `${host}/team/shop:${tag}`, "-o", "json"];
          const seen = await scene.ok(words, { env: login });
          assert(seen.includes(digest), seen);
        }
      });
    }
    assert.equal(digests.size, 1, "the same image by every engine");
  },
});

Deno.test({
  name:
    "ci: the Tekton task's step in its builder, as a random uid without capabilities, on a read-only root",
  ignore: !ready || !hasRegistry,
  async fn() {
    await using scene = await makeScene();
    await using registry = await startRegistry();
    const { dir } = scene;
    await writeBuildBase(`${dir}/base`);
    await writeBase(`${dir}/base`, 1);
    await scene.write({
      ...small(`${registry.host}/run`),
      "pod/source/app/app.txt": "the app\n",
      "pod/results": null,
      "pod/scratch": null,
      "pod/registry/config.json": "{}",
    });
    await scene.ok(["copy", "oci:base:1", `${registry.host}/run`]);
    await scene.ok(["builder", "create", "oci:builder:1", "--config", "builder.toml"]);

    const [step] = (await readTask()).spec.steps;
    const values: Readonly<Record<string, string>> = {
      "params.image": `${registry.host}/team/shop:1`,
      "params.run-image": "",
      "params.path": "app",
      "params.cache-image": `${registry.host}/team/shop-cache`,
      "workspaces.source.path": "/pod/source",
      "workspaces.registry.path": "/pod/registry",
      "results.image-digest.path": "/pod/results/digest",
      "results.image-url.path": "/pod/results/url",
    };
    const env = step!.env.map(({ name, value }) =>
      `${name}=${value.replace(/\$\(([^)]*)\)/g, (_, key) => values[key]!)}`
    );
    await scene.write({ "pod/script": step!.script });
    await Deno.chmod(`${dir}/pod/results`, 0o777);
    await Deno.chmod(`${dir}/pod/scratch`, 0o777);
    const builder = await unpack(`${dir}/builder`, "1", `${dir}/bundle`);
    for (const place of ["pod", "scratch", "layers", "workspace"]) {
      await Deno.mkdir(`${builder.rootfs}/${place}`, { recursive: true });
    }
    const path = `${dir}/bundle/config.json`;
    const spec = JSON.parse(await Deno.readTextFile(path));
    spec.root.readonly = true;
    spec.linux.seccomp = engineSeccomp("containerd", []);
    Object.assign(spec.process, {
      user: { uid: 1_000_680_000, gid: 0 },
      args: ["/pod/script"],
      env: [...spec.process.env, ...env],
      capabilities: {},
      noNewPrivileges: true,
    });
    const bind = (from: string, to: string) => {
      spec.mounts.push({ destination: to, type: "bind", source: from, options: ["rbind", "rw"] });
    };
    bind(`${dir}/pod`, "/pod");
    bind(`${dir}/pod/scratch`, "/scratch");
    for (const place of ["layers", "workspace"]) {
      await Deno.mkdir(`${dir}/${place}`);
      await Deno.chmod(`${dir}/${place}`, 0o777);
      bind(`${dir}/${place}`, `/${place}`);
    }
    await Deno.writeTextFile(path, JSON.stringify(spec));
    const script = `. ${ROOT}scripts/crun.sh; run_bundle "$1" "$2"`;
    const id = `wherry-recipes-${crypto.randomUUID()}`;
    const { code, stdout, stderr } = await startProcess("sh", [
      ...["-c", script, "sh", `${dir}/bundle`, id],
    ]).ended;
    assert.equal(code, 0, stdout + stderr);
    const digest = await Deno.readTextFile(`${dir}/pod/results/digest`);
    const url = await Deno.readTextFile(`${dir}/pod/results/url`);
    assert.match(digest, /^sha256:[0-9a-f]{64}$/);
    assert(url.endsWith(`@${digest}`), url);
    await scene.ok(["verify", `${registry.host}/team/shop:1`]);
    assert.match(stderr, /^isolation: in-place, on this machine's own tree /m);
    assert.doesNotMatch(stderr, /keeps that path instead of \/(layers|workspace)/);
  },
});
