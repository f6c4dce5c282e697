/** Runs one case with one lifecycle, as a foreign platform would, and collects all it left behind. */
import { dirname } from "node:path";
import { connectRegistry } from "../../registry/client/client.ts";
import { parseDigest } from "../../registry/oci/digest.ts";
import { readAll } from "../../registry/source.ts";
import type { CaseBuildpack, CaseExtension, OracleCase, Phase } from "./case.ts";
import { PHASES } from "./case.ts";
import { saveRunImage } from "./run_image.ts";

/** A lifecycle. */
export interface Subject {
  /** Its namespace in the registry too. */
  readonly name: string;
  /** The directory of its executables. */
  readonly dir: string;
}

/** What a build ended with. */
export interface Outcome {
  /** Of each phase that ran. */
  readonly codes: Readonly<Record<string, number>>;
  /** What each phase printed. */
  readonly logs: Readonly<Record<string, string>>;
  /** Files below the layers directory after each phase: text, or a mark for what is none. */
  readonly trees: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** `report.toml`, when one was written. */
  readonly report?: string;
  /** Digest of the manifest and the parsed config, when there is an image. */
  readonly image?: {
    readonly manifest: { readonly layers: readonly { readonly digest: string }[] };
    readonly config: Readonly<Record<string, unknown>>;
  };
  /** The cache's metadata document, and its layers. */
  readonly cache?: { readonly metadata: string; readonly layers: readonly string[] };
}

/** Where a case takes place. */
export interface Stage {
  /** An empty directory; the same for both lifecycles, since layers hold paths. */
  readonly root: string;
  /** A registry with the image `run:base`. */
  readonly host: string;
  /** The launcher both put into images. */
  readonly launcher: string;
}

/** Who the phases run as. */
const UID = 1000;

/**
 * Runs all builds of `one`.
 *
 * @param subjects Who builds first, second, ...; the last goes on.
 * @param namespace Where in the registry the images go.
 * @returns One outcome a build.
 */
export async function runCase(
  one: OracleCase,
  subjects: readonly Subject[],
  namespace: string,
  stage: Stage,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  await Deno.remove(stage.root, { recursive: true }).catch(() => {});
  await Deno.mkdir(`${stage.root}/cache`, { recursive: true });
  if (one.layout) {
    const base = `${stage.root}/layouts/${stage.host}/run/base`;
    await Deno.mkdir(base, { recursive: true });
    await saveRunImage(base);
    await chownAll(`${stage.root}/layouts`);
  }
  for (let build = 1; build <= (one.builds ?? 1); build++) {
    const subject = subjects[Math.min(build, subjects.length) - 1]!;
    await setScene(one, build, stage);
    outcomes.push(await runBuild(one, build, subject, namespace, stage));
  }
  return outcomes;
}

async function setScene(one: OracleCase, build: number, { root, host }: Stage): Promise<void> {
  for (const name of ["layers", "workspace", "platform", "build-config", "cnb", "report", "home"]) {
    await Deno.remove(`${root}/${name}`, { recursive: true }).catch(() => {});
    await Deno.mkdir(`${root}/${name}`, { recursive: true });
  }
  const put = async (path: string, text: string, mode = 0o644) => {
    await Deno.mkdir(dirname(`${root}/${path}`), { recursive: true });
    await Deno.writeTextFile(`${root}/${path}`, text);
    await Deno.chmod(`${root}/${path}`, mode);
  };
  for (const [name, buildpack] of Object.entries(one.buildpacks)) {
    await putBuildpack(name, buildpack, put);
  }
  const elements = Object.keys(one.buildpacks).map((name) => {
    const [id, version] = name.split("@");
    return `[[order.group]]\nid = "${id}"\nversion = "${version}"\n`;
  });
  const extensions = Object.entries(one.extensions ?? {});
  for (const [name, extension] of extensions) await putExtension(name, extension, host, put);
  const more = extensions.map(([name]) => {
    const [id, version] = name.split("@");
    return `[[order-extensions.group]]\nid = "${id}"\nversion = "${version}"\n`;
  });
  const optional = more.length === 0 ? "" : `[[order-extensions]]\n${more.join("")}`;
  await put("cnb/order.toml", one.order ?? `[[order]]\n${elements.join("")}${optional}`);
  const run = one.run ??
    `[[images]]\nimage = "HOST/run:base"\nmirrors = ["other.example/run:base"]\n`;
  await put("cnb/run.toml", run.replaceAll("HOST", host));
  const stack = `[run-image]\nimage = "HOST/run:base"\nmirrors = ["other.example/run:base"]\n`;
  await put("cnb/stack.toml", stack.replaceAll("HOST", host));
  if (one.system !== undefined) await put("cnb/system.toml", one.system);
  for (const [name, text] of Object.entries(one.app ?? { "main.txt": "hello\n" })) {
    await put(`workspace/${name}`, text);
  }
  for (const [name, text] of Object.entries({ BUILD_NUMBER: `${build}`, ...one.env })) {
    await put(`platform/env/${name}`, text);
  }
  for (const [name, text] of Object.entries(one.buildConfig ?? {})) {
    await put(`build-config/env/${name}`, text);
  }
  for (const [name, text] of Object.entries(one.layers ?? {})) await put(`layers/${name}`, text);
  await chownAll(root);
}

async function putBuildpack(
  name: string,
  buildpack: CaseBuildpack,
  put: (path: string, text: string, mode?: number) => Promise<void>,
): Promise<void> {
  const [id = "", version = ""] = name.split("@");
  const dir = `cnb/buildpacks/${id.replaceAll("/", "_")}/${version}`;
  const { api = "0.10", keys = "", rest = '[[targets]]\nos = "linux"\n' } = buildpack;
  await put(
    `${dir}/buildpack.toml`,
    `api = "${api}"\n[buildpack]\nid = "${id}"\nversion = "${version}"\n${keys}\n${rest}`,
  );
  for (const [file, text] of Object.entries(buildpack.files ?? {})) {
    await put(`${dir}/${file}`, text);
  }
  if (/^\[\[order/m.test(rest)) return;
  await put(`${dir}/bin/detect`, `#!/bin/sh\n${buildpack.detect ?? "exit 0"}\n`, 0o755);
  await put(`${dir}/bin/build`, `#!/bin/sh\n${buildpack.build ?? "exit 0"}\n`, 0o755);
}

async function putExtension(
  name: string,
  extension: CaseExtension,
  host: string,
  put: (path: string, text: string, mode?: number) => Promise<void>,
): Promise<void> {
  const [id = "", version = ""] = name.split("@");
  const dir = `cnb/extensions/${id.replaceAll("/", "_")}/${version}`;
  const { api = "0.10", keys = "", detect, generate, files = {} } = extension;
  await put(
    `${dir}/extension.toml`,
    `api = "${api}"\n[extension]\nid = "${id}"\nversion = "${version}"\n${keys}\n`,
  );
  for (const [file, text] of Object.entries(files)) await put(`${dir}/${file}`, text);
  const programs = { detect, generate: generate?.replaceAll("HOST", host) };
  for (const [program, text] of Object.entries(programs)) {
    if (text !== undefined) await put(`${dir}/bin/${program}`, `#!/bin/sh\n${text}\n`, 0o755);
  }
}

async function chownAll(path: string): Promise<void> {
  await Deno.chown(path, UID, UID);
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (isDirectory) await chownAll(`${path}/${name}`);
    else await Deno.chown(`${path}/${name}`, UID, UID).catch(() => {});
  }
}

async function runBuild(
  one: OracleCase,
  build: number,
  subject: Subject,
  namespace: string,
  stage: Stage,
): Promise<Outcome> {
  const { root, host } = stage;
  const codes: Record<string, number> = {};
  const logs: Record<string, string> = {};
  const trees: Record<string, Record<string, string>> = {};
  for (const phase of one.creator ? ["creator"] as const : PHASES) {
    const { tamper } = one;
    if (tamper?.before === phase && (tamper.build ?? 1) === build) await tamper.act(root);
    const args = flagsOf(phase, one, namespace, stage);
    const { code, log } = await runPhase(`${subject.dir}/${phase}`, args, one, root);
    codes[phase] = code;
    logs[phase] = log;
    trees[phase] = await readTree(`${root}/layers`);
    if (code !== 0) break;
  }
  if (one.rebase && build === (one.builds ?? 1)) {
    const args = flagsOf("rebaser", one, namespace, stage);
    const { code, log } = await runPhase(`${subject.dir}/rebaser`, args, one, root);
    codes["rebaser"] = code;
    logs["rebaser"] = log;
  }
  const cacheImage = `${host}/${namespace}/cache`;
  const image = one.layout
    ? await readLayout(`${root}/layouts/${host}/${namespace}/app/latest`)
    : await readImage(`docker://${host}/${namespace}/app`);
  const cache = one.cache === "image"
    ? await readCacheImage(cacheImage)
    : await readCacheDir(`${root}/cache/committed`);
  const report = await Deno.readTextFile(`${root}/report/report.toml`).catch(() => undefined);
  return {
    ...{ codes, logs, trees },
    ...(report === undefined ? {} : { report }),
    ...(image ? { image } : {}),
    ...(cache ? { cache } : {}),
  };
}

async function runPhase(
  program: string,
  args: readonly string[],
  one: OracleCase,
  root: string,
): Promise<{ readonly code: number; readonly log: string }> {
  const env = {
    CNB_PLATFORM_API: one.platformApi ?? "0.13",
    CNB_USER_ID: `${UID}`,
    CNB_GROUP_ID: `${UID}`,
    CNB_BUILDPACKS_DIR: `${root}/cnb/buildpacks`,
    CNB_EXTENSIONS_DIR: `${root}/cnb/extensions`,
    CNB_ORDER_PATH: `${root}/cnb/order.toml`,
    CNB_RUN_PATH: `${root}/cnb/run.toml`,
    CNB_STACK_PATH: `${root}/cnb/stack.toml`,
    CNB_SYSTEM_PATH: `${root}/cnb/system.toml`,
    CNB_BUILD_CONFIG_DIR: `${root}/build-config`,
    CNB_NO_COLOR: "true",
    PATH: "/usr/local/bin:/usr/bin:/bin",
    HOME: `${root}/home`,
    SECRET_OF_THE_PLATFORM: "must not be seen",
    ...(one.layout ? { CNB_EXPERIMENTAL_MODE: "warn" } : {}),
    ...one.vars,
  };
  const { code, stdout, stderr } = await new Deno.Command("setpriv", {
    args: [`--reuid=${UID}`, `--regid=${UID}`, "--clear-groups", "--", program, ...args],
    env,
    clearEnv: true,
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { code, log: text.decode(stdout) + text.decode(stderr) };
}

function flagsOf(
  phase: Phase,
  one: OracleCase,
  namespace: string,
  { root, host, launcher }: Stage,
): readonly string[] {
  const own = `${host}/${namespace}`;
  const cache = one.cache === "none"
    ? []
    : one.cache === "image"
    ? [`-cache-image=${own}/cache`]
    : [`-cache-dir=${root}/cache`];
  const layers = `-layers=${root}/layers`;
  const app = `-app=${root}/workspace`;
  const platform = `-platform=${root}/platform`;
  const report = `-report=${root}/report/report.toml`;
  const tags = (one.tags ?? []).map((tag) => `${own}/app:${tag}`);
  const layout = one.layout ? ["-layout", `-layout-dir=${root}/layouts`] : [];
  const more = [...layout, ...one.flags?.[phase] ?? []].map((flag) => flag.replaceAll("HOST", own));
  const name = `${own}/app`;
  switch (phase) {
    case "analyzer":
      return [
        layers,
        ...(one.cache === "image" ? cache : []),
        ...tags.map((tag) => `-tag=${tag}`),
        ...more,
        name,
      ];
    case "detector":
      return [layers, app, platform, ...one.flags?.detector ?? []];
    case "restorer":
      return [layers, ...cache, ...more];
    case "builder":
      return [layers, app, platform, ...one.flags?.builder ?? []];
    case "exporter":
      return [layers, app, ...cache, report, `-launcher=${launcher}`, ...more, name, ...tags];
    case "rebaser": {
      const flags = (one.rebase ?? []).map((flag) => flag.replaceAll("HOST", host));
      return [...flags, report, name];
    }
    case "creator":
      return [
        ...[layers, app, platform, ...cache, report, `-launcher=${launcher}`],
        ...tags.map((tag) => `-tag=${tag}`),
        ...more,
        name,
      ];
  }
}

async function readTree(root: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  const walk = async (path: string) => {
    const names = (await Array.fromAsync(Deno.readDir(`${root}${path}`), (one) => one.name)).sort();
    for (const name of names) {
      const at = `${path}/${name}`;
      const info = await Deno.lstat(`${root}${at}`);
      const mode = ((info.mode ?? 0) & 0o7777).toString(8);
      if (info.isSymlink) tree[at] = `-> ${await Deno.readLink(`${root}${at}`)}`;
      else if (info.isDirectory) {
        tree[at] = `directory ${mode}`;
        await walk(at);
      } else if (info.isFile) tree[at] = `${mode} ${await Deno.readTextFile(`${root}${at}`)}`;
      else tree[at] = "something else";
    }
  };
  await walk("");
  return tree;
}

async function skopeo(...args: string[]): Promise<unknown> {
  const { success, stdout } = await new Deno.Command("skopeo", { args, stderr: "null" }).output();
  return success ? JSON.parse(new TextDecoder().decode(stdout)) : undefined;
}

async function readImage(name: string): Promise<Outcome["image"]> {
  const inspect = ["inspect", "--tls-verify=false", "--raw"];
  const manifest = await skopeo(...inspect, name);
  if (manifest === undefined) return undefined;
  // After a rebase by Go the types of manifest and config disagree, and skopeo shows no config.
  const [host = "", ...path] = name.replace("docker://", "").split("/");
  const { digest } = (manifest as { readonly config: { readonly digest: string } }).config;
  await using registry = connectRegistry(host);
  const blob = await registry.blob(path.join("/"), parseDigest(digest));
  const config = JSON.parse(new TextDecoder().decode(await readAll(blob!, 1 << 24)));
  return { manifest, config } as Outcome["image"];
}

/** Not with skopeo, which takes what follows a colon for a name. */
async function readLayout(dir: string): Promise<Outcome["image"]> {
  const read = async (path: string) => JSON.parse(await Deno.readTextFile(`${dir}/${path}`));
  const blob = (digest: string) => read(`blobs/${digest.replace(":", "/")}`);
  try {
    const { manifests } = await read("index.json");
    const manifest = await blob(manifests[0].digest);
    const config = await blob(manifest.config.digest);
    return { manifest, config: { ...config, images: manifests.length } };
  } catch {
    return undefined;
  }
}

async function readCacheImage(name: string): Promise<Outcome["cache"]> {
  const image = await readImage(`docker://${name}`);
  if (image === undefined) return undefined;
  const config = image.config as {
    config: { Labels: Record<string, string> };
    rootfs: { diff_ids: string[] };
  };
  const metadata = config.config.Labels["io.buildpacks.lifecycle.cache.metadata"] ?? "";
  // The Go lifecycle lists a layer it reuses twice (CA-11).
  return { metadata, layers: [...new Set(config.rootfs.diff_ids)].sort() };
}

async function readCacheDir(dir: string): Promise<Outcome["cache"]> {
  try {
    const layers = (await Array.fromAsync(Deno.readDir(dir), ({ name }) => name))
      .filter((name) => name.endsWith(".tar")).map((name) => name.slice(0, -4)).sort();
    const file = `${dir}/io.buildpacks.lifecycle.cache.metadata`;
    return { metadata: await Deno.readTextFile(file), layers };
  } catch {
    return undefined;
  }
}
