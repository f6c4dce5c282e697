/** What tests of analyze, restore and export share: a build on disk, a store in memory, a counting registry. */
import type { Context, Log } from "../../registry/context.ts";
import { quietContext } from "../../registry/context.ts";
import { handedOn } from "../../registry/handed_on.ts";
import { type Image, makeImage } from "../../registry/image.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import type { ImageConfig } from "../../registry/oci/config.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import type { Registry } from "../../registry/registry.ts";
import { bytesSource } from "../../registry/source.ts";
import type { BuildMetadata } from "../file/metadata_toml.ts";
import { EMPTY_METADATA } from "./analyze_types.ts";
import type { ExportInput, LayerStore } from "./export_types.ts";

/** A tree of files: text is a file's content, `null` a directory. Modes are 0644 and 0755. */
export async function writeTree(
  root: string,
  files: Readonly<Record<string, string | null>>,
): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = `${root}/${name}`;
    const directory = content === null ? path : path.slice(0, path.lastIndexOf("/"));
    await Deno.mkdir(directory, { recursive: true });
    for (let at = directory; at.length > root.length; at = at.slice(0, at.lastIndexOf("/"))) {
      await Deno.chmod(at, 0o755);
    }
    if (content === null) continue;
    await Deno.writeTextFile(path, content);
    await Deno.chmod(path, 0o644);
  }
}

/** A store in memory that counts what is compressed into it. */
export function memoryStore(): LayerStore & { readonly uploads: () => number } {
  const registry = memoryRegistry("store");
  const facts = new Map<string, string>();
  let uploads = 0;
  return Object.assign(Object.create(registry) as Registry, handedOn(registry), {
    name: "store",
    uploads: () => uploads,
    upload: (repository: string) => {
      uploads++;
      return registry.upload(repository);
    },
    rememberLayer: () => Promise.resolve(),
    adopt: async (repository: string, digest: Parameters<Registry["blob"]>[1]) =>
      await registry.blob(repository, digest) !== undefined,
    memo: {
      get: (key: string) => Promise.resolve(facts.get(key)),
      set: (key: string, value: string) => {
        facts.set(key, value);
        return Promise.resolve();
      },
    },
  });
}

/** What moved into a registry since the last {@linkcode Counted.reset}. */
export interface Counted extends Registry {
  /** Blobs whose bytes were sent, as digests. */
  readonly sent: string[];
  /** Bytes of layers and configs that were sent. */
  bytes: number;
  /** Starts anew. */
  reset(): void;
}

/** A registry that counts the bytes it is really sent. */
export function counting(
  registry: Registry,
  refuse: (tag: string) => boolean = () => false,
): Counted {
  const counted: Counted = Object.assign(handedOn(registry), {
    sent: [] as string[],
    bytes: 0,
    reset: () => {
      counted.sent.length = 0;
      counted.bytes = 0;
    },
    pushBlob: async (...all: Parameters<Registry["pushBlob"]>) => {
      const how = await registry.pushBlob(...all);
      if (how === "uploaded") {
        counted.sent.push(all[1].digest);
        counted.bytes += all[1].size;
      }
      return how;
    },
    pushManifest: async (...all: Parameters<Registry["pushManifest"]>) => {
      const refused = all[2]?.tags?.find(refuse);
      if (refused !== undefined) throw new Error(`tag ${refused} is locked`);
      return await registry.pushManifest(...all);
    },
  });
  return counted;
}

/** A context that keeps its lines. */
export function recordingContext(): { readonly ctx: Context; readonly lines: string[] } {
  const lines: string[] = [];
  const log: Log = {
    debug: () => {},
    info: (line) => void lines.push(line),
    warn: (line) => void lines.push(`Warning: ${line}`),
    error: (line) => void lines.push(`ERROR: ${line}`),
  };
  return { ctx: quietContext({ log }), lines };
}

/** A run image of one layer of arbitrary bytes; its blob comes from memory. */
export function runImage(config: Partial<ImageConfig> = {}, docker = false): Image {
  const blob = new TextEncoder().encode("a layer of the operating system");
  const descriptor = {
    mediaType: docker ? MediaType.dockerLayerGzip : MediaType.ociLayerGzip,
    digest: digestOf(blob),
    size: blob.byteLength,
  };
  const diffId = digestOf(new TextEncoder().encode("its tar"));
  const layer = { diffId, descriptor, blob: () => Promise.resolve(bytesSource(blob)) };
  const family = docker
    ? { raw: { mediaType: MediaType.dockerManifest } } as unknown as Image
    : undefined;
  return makeImage(
    {
      os: "linux",
      architecture: "amd64",
      config: {
        User: "1001:1000",
        Env: ["PATH=/usr/bin:/bin", "LANG=C"],
        Cmd: ["/bin/bash"],
        Labels: {
          "io.buildpacks.base.distro.name": "ubuntu",
          "io.buildpacks.base.distro.version": "24.04",
          "maintainer": "someone",
        },
      },
      rootfs: { type: "layers", diff_ids: [] },
      history: [
        { created: "2025-02-03T04:05:06Z", created_by: "ADD rootfs" },
        { created: "2025-02-03T04:05:07Z", created_by: "CMD bash", empty_layer: true },
      ],
      ...config,
    },
    [layer],
    family,
  );
}

/** What the buildpack of {@linkcode sampleBuild} decided. */
export const SAMPLE_BUILD: BuildMetadata = {
  defaultProcessType: "web",
  buildpacks: [{
    id: "samples/java",
    version: "1.2.3",
    api: "0.10",
    homepage: "https://bp.example",
  }],
  extensions: [],
  labels: [{ key: "org.example.team", value: "a & b" }],
  processes: [{
    type: "web",
    command: ["java"],
    args: ["-jar", "app.jar"],
    direct: true,
    default: false,
    workingDir: "",
    execEnv: [],
    buildpackId: "samples/java",
  }],
  slices: [],
};

/** Lays out a finished build: a launch layer, a launch and cache layer, a cache layer, an app, config. */
export async function sampleBuild(root: string): Promise<void> {
  await writeTree(root, {
    "layers/samples_java/jre.toml":
      '[types]\nlaunch = true\n[metadata]\nversion = "21"\nbig = 9007199254740993\n',
    "layers/samples_java/jre/bin/java": "#!/bin/sh\n",
    "layers/samples_java/deps.toml": "[types]\nlaunch = true\ncache = true\n",
    "layers/samples_java/deps/a.jar": "jar of a",
    "layers/samples_java/m2.toml": "[types]\nbuild = true\ncache = true\n",
    "layers/samples_java/m2/repo.txt": "downloads",
    "layers/samples_java/store.toml": "[metadata]\nseen = 1\n",
    "layers/config/metadata.toml": '[[processes]]\ntype = "web"\n',
    "app/app.jar": "the app",
    "app/lib/x.txt": "x",
  });
}

/** An export of {@linkcode sampleBuild}; every test changes what it is about. */
export function exportInput(
  root: string,
  store: LayerStore,
  to: Registry,
  change: Partial<ExportInput> = {},
): ExportInput {
  return {
    platformApi: "0.14",
    run: {
      image: runImage(),
      name: "registry.example/run:1",
      reference: `registry.example/run@sha256:${"1".repeat(64)}`,
    },
    runNames: { image: "registry.example/run:1", mirrors: ["mirror.example/run:1"] },
    previousMetadata: EMPTY_METADATA,
    build: SAMPLE_BUILD,
    layers: { inside: "/layers", outside: `${root}/layers` },
    app: { inside: "/workspace", outside: `${root}/app` },
    owner: { uid: 1000, gid: 1000 },
    launcher: { bytes: new TextEncoder().encode("launcher"), version: "1.0.0" },
    store,
    storeRepository: "app",
    to,
    destinations: [{ repository: "app", tag: "1", name: "registry.example/app:1" }],
    ...change,
  };
}
