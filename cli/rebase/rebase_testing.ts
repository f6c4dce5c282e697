/** Images to rebase, made from a few bytes, and a command line to rebase them with. */
import { type Image, type Layer, makeImage, pushImage } from "../../registry/image.ts";
import { type MemoryRegistry, memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { serve } from "../../registry/server/serve.ts";
import {
  createServer,
  type RequestEntry,
  type ServerOptions,
} from "../../registry/server/server.ts";
import { bytesSource } from "../../registry/source.ts";
import type { Registry } from "../../registry/registry.ts";
import { runLine } from "../line_testing.ts";

/** How an image is made. */
export interface Shape {
  /** Layers of its own. */
  readonly layers?: number;
  /** Default `amd64`. */
  readonly arch?: string;
  /** Beside its own labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Of docker's family of media types. */
  readonly docker?: boolean;
  /** The name of the run image in its label. */
  readonly run?: string;
  /** Distro version of the base. */
  readonly distro?: string;
  /** When it was made. */
  readonly created?: string;
}

const DISTRO = "io.buildpacks.base.distro.";

function layerOf(text: string, docker = false): Layer {
  const bytes = new TextEncoder().encode(text);
  const digest = digestOf(bytes);
  const mediaType = docker ? MediaType.dockerLayer : MediaType.ociLayer;
  return {
    diffId: digest,
    descriptor: { mediaType, digest, size: bytes.byteLength },
    blob: () => Promise.resolve(bytesSource(bytes)),
  };
}

const rootfs = { type: "layers" as const, diff_ids: [] };
/** A parent that says which family of media types its children have. */
function family(docker: boolean | undefined): Image | undefined {
  if (!docker) return undefined;
  const image = makeImage({ os: "linux", architecture: "amd64", config: {}, rootfs }, []);
  return { ...image, raw: { ...image.raw, mediaType: MediaType.dockerManifest } };
}

/** A run image of five layers. */
export function madeBase(version: string, shape: Shape = {}): Image {
  const { layers = 5, arch = "amd64", labels = {}, docker, distro = "12", created } = shape;
  const made = Array.from(
    { length: layers },
    (_, at) => layerOf(`base ${version} ${arch} layer ${at}`, docker),
  );
  return makeImage(
    {
      os: "linux",
      architecture: arch,
      config: {
        Labels: {
          [`${DISTRO}name`]: "debian",
          [`${DISTRO}version`]: distro,
          "base.version": version,
          ...labels,
        },
      },
      history: made.map((_, at) => ({ created_by: `base ${at}` })),
      ...(created === undefined ? {} : { created }),
      rootfs,
    },
    made,
    family(docker),
  );
}

/** An app on `base`, of ten layers more. */
export function madeApp(base: Image, name: string, shape: Shape = {}): Image {
  const { layers = 10, arch = "amd64", labels = {}, docker, run = "run", distro = "12" } = shape;
  const own = Array.from({ length: layers }, (_, at) => layerOf(`app ${name} layer ${at}`, docker));
  const label = JSON.stringify({
    app: own.slice(0, 3).map(({ diffId }) => ({ sha: diffId })),
    runImage: {
      topLayer: base.layers.at(-1)!.diffId,
      reference: `${run.replace(/:[^:/]*$/, "")}@${base.raw.digest}`,
      image: run,
      mirrors: [],
    },
    stack: { runImage: { image: run, mirrors: [] } },
  });
  return makeImage(
    {
      os: "linux",
      architecture: arch,
      config: {
        Env: ["CNB_PLATFORM_API=0.14", "PATH=/cnb"],
        Labels: {
          "io.buildpacks.lifecycle.metadata": label,
          "io.buildpacks.rebasable": "true",
          [`${DISTRO}name`]: "debian",
          [`${DISTRO}version`]: distro,
          "app.name": name,
          ...labels,
        },
      },
      history: [...base.layers, ...own].map((_, at) => ({ created_by: `layer ${at}` })),
      rootfs,
    },
    [...base.layers, ...own],
    family(docker),
  );
}

/** Pushes `image` as `repository:tag`. */
export async function put(to: Registry, repository: string, tag: string, image: Image) {
  await pushImage(image, to, repository, { tags: [tag] });
}

/** A registry of our own that remembers what it was asked. */
export interface Scene extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** What is in it. */
  readonly place: Registry;
  /** Requests in order: method, kind, status. */
  readonly seen: RequestEntry[];
  /** The same as text, and forgets them. */
  calls(): readonly string[];
  /** A directory of the scene, with its store in `store/`. */
  readonly dir: string;
  /** Runs a command line. */
  wherry(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Said>;
}

/** How a command ended. */
export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts it. */
export async function makeScene(
  options: ServerOptions = {},
  place: MemoryRegistry = memoryRegistry(),
): Promise<Scene> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-rebase-" });
  const seen: RequestEntry[] = [];
  const listening = await serve(
    createServer(place, { ...options, onRequest: (entry) => seen.push(entry) }),
    { listen: { hostname: "127.0.0.1", port: 0 } },
  );
  const host = listening.url.slice("http://".length);
  return {
    host,
    place,
    seen,
    dir,
    calls: () => seen.splice(0).map(({ method, kind, status }) => `${method} ${kind} ${status}`),
    wherry: (args, env = {}) => commandLine(args, dir, env),
    async [Symbol.asyncDispose]() {
      await listening.shutdown();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** Runs a command line in this process. */
export async function commandLine(
  args: readonly string[],
  dir: string,
  env: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<Said> {
  const own = { HOME: dir, PATH: "/usr/bin:/bin", WHERRY_STORE: `${dir}/store`, ...env };
  const { code, out, err } = await runLine(args, { dir, env: own, signal });
  return { code, stdout: out, stderr: err };
}
