/** Commands run as `main.ts` runs them, against a registry that counts, with images whose every part is chosen. */
import { gzipSync } from "node:zlib";
import { formatBuildLabel } from "../lifecycle/file/build_metadata_label.ts";
import { parseMetadataToml } from "../lifecycle/file/metadata_toml.ts";
import { encodeJson, type Image, type Layer, makeImage, pushImage } from "../registry/image.ts";
import { type Sample, tarOf } from "../registry/layer/tar_testing.ts";
import { type MemoryRegistry, memoryRegistry } from "../registry/memory.ts";
import { digestOf } from "../registry/oci/digest.ts";
import { MediaType } from "../registry/oci/media_type.ts";
import type { Registry } from "../registry/registry.ts";
import { bytesSource } from "../registry/source.ts";
import { createServer } from "../registry/server/server.ts";
import { serve } from "../registry/server/serve.ts";
import { type Ended, runLine } from "./line_testing.ts";

/** A terminal's user with a store and a registry. */
export interface Bench extends AsyncDisposable {
  /** An empty directory, where commands are run. */
  readonly dir: string;
  /** `127.0.0.1:PORT` of the registry. */
  readonly host: string;
  /** What the registry serves. */
  readonly registry: MemoryRegistry;
  /** Requests and the bytes of their answers since {@linkcode reset}, by method and path. */
  readonly seen: { requests: string[]; bytes: number };
  /** Forgets what was counted. */
  reset(): void;
  /** Runs a command. */
  wherry(...args: readonly string[]): Promise<Ended>;
  /** The same on a terminal of `width` columns, or in another environment. */
  as(
    options: { readonly width?: number; readonly env?: Readonly<Record<string, string>> },
  ): Pick<Bench, "wherry">;
}

/** Starts a registry and lends a directory. */
export async function bench(): Promise<Bench> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-test-" });
  const registry = memoryRegistry();
  const inner = createServer(registry);
  const seen = { requests: [] as string[], bytes: 0 };
  const server = await serve(
    {
      // Only this door: a server that has its own is not asked through it.
      fetch: async (request, ...rest) => {
        const { pathname } = new URL(request.url);
        seen.requests.push(`${request.method} ${pathname}`);
        const response = await inner.fetch(request, ...rest);
        seen.bytes += Number(response.headers.get("content-length") ?? 0);
        return response;
      },
    },
    { listen: { hostname: "127.0.0.1", port: 0 } },
  );
  const { port } = server.address as { readonly port: number };
  const as: Bench["as"] = ({ width, env = {} }) => ({
    wherry: (...args) =>
      runLine(args, {
        dir,
        width,
        env: { HOME: dir, NO_COLOR: "1", WHERRY_STORE: `${dir}/store`, ...env },
      }),
  });
  return {
    dir,
    host: `127.0.0.1:${port}`,
    registry,
    seen,
    reset() {
      seen.requests.length = 0;
      seen.bytes = 0;
    },
    wherry: as({}).wherry,
    as,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** A layer of `samples`. */
export function layerOf(...samples: readonly Sample[]): Layer {
  const tar = tarOf(...samples);
  const blob = new Uint8Array(gzipSync(tar));
  return {
    diffId: digestOf(tar),
    descriptor: {
      mediaType: MediaType.ociLayerGzip,
      digest: digestOf(blob),
      size: blob.byteLength,
    },
    blob: () => Promise.resolve(bytesSource(blob)),
  };
}

/** What an image of {@linkcode appImage} is made of. */
export interface AppParts {
  /** The base's layers. */
  readonly base?: readonly Layer[];
  /** Its name. */
  readonly runImage?: { readonly image: string; readonly mirrors?: readonly string[] };
  /** Its digest reference. */
  readonly reference?: string;
  /** `buildpack:layer` to layer. */
  readonly layers?: Readonly<Record<string, Layer>>;
  /** Bills of materials, by path below `sbom/launch`. */
  readonly sboms?: Readonly<Record<string, unknown>>;
  /** The app. */
  readonly app?: readonly Layer[];
  /** The launcher's layer and version. */
  readonly launcher?: Layer;
  /** More labels, or others. */
  readonly labels?: Readonly<Record<string, string>>;
  /** For another platform than linux/amd64. */
  readonly architecture?: string;
}

const DATE = "1980-01-01T00:00:01Z";

/** An image as the lifecycle leaves it. */
export function appImage(parts: AppParts = {}): Image {
  const base = parts.base ?? [layerOf({ name: "etc/os-release", text: "ID=test" })];
  const layers = Object.entries(
    parts.layers ?? {
      "samples/java:jre": layerOf({ name: "layers/samples_java/jre/bin/java", text: "java" }),
    },
  );
  const sbom = parts.sboms === undefined ? [] : [layerOf(
    ...Object.entries(parts.sboms).map(([path, document]) => ({
      name: `/layers/sbom/launch/${path}`,
      text: typeof document === "string" ? document : JSON.stringify(document),
    })),
  )];
  const app = parts.app ?? [layerOf({ name: "workspace/main.txt", text: "main" })];
  const launcher = parts.launcher ??
    layerOf({ name: "cnb/lifecycle/launcher", text: "launcher", mode: 0o755 });
  const config = layerOf({ name: "layers/config/metadata.toml", text: "" });
  const types = layerOf({
    name: "cnb/process/web",
    type: "symlink",
    linkName: "/cnb/lifecycle/launcher",
  });
  const ids = [...new Set(layers.map(([key]) => key.split(":")[0]!))];
  const metadata = {
    app: app.map(({ diffId }) => ({ sha: diffId })),
    ...(sbom[0] ? { sbom: { sha: sbom[0].diffId } } : {}),
    buildpacks: ids.map((id) => ({
      key: id,
      version: "1.2.3",
      layers: Object.fromEntries(
        layers.filter(([key]) => key.startsWith(`${id}:`)).map(([key, { diffId }]) => [
          key.slice(id.length + 1),
          { sha: diffId, data: null, build: false, launch: true, cache: false },
        ]),
      ),
    })),
    config: { sha: config.diffId },
    launcher: { sha: launcher.diffId },
    "process-types": { sha: types.diffId },
    runImage: {
      topLayer: base.at(-1)?.diffId ?? "",
      reference: parts.reference ?? `registry.test/run@${"sha256:".padEnd(71, "a")}`,
      ...(parts.runImage ?? { image: "registry.test/run:1", mirrors: ["mirror.test/run:1"] }),
    },
  };
  const build = parseMetadataToml(
    `${
      ids.map((id) =>
        `[[buildpacks]]\nid="${id}"\nversion="1.2.3"\napi="0.10"\nhomepage="https://x.test"\n`
      )
        .join("")
    }
[[processes]]
type = "web"
command = ["java"]
args = ["-jar", "app.jar"]
direct = true
buildpack-id = "${ids[0] ?? ""}"
`,
    "metadata.toml",
  );
  const all = [
    ...base.map((layer) => [layer, ""] as const),
    ...layers.map(([key, layer]) => [layer, `Layer: '${key}'`] as const),
    ...sbom.map((layer) => [layer, "Software Bill-of-Materials"] as const),
    ...app.map((layer) => [layer, "Application Layer"] as const),
    [launcher, "Buildpacks Application Launcher"] as const,
    [config, "Buildpacks Launcher Config"] as const,
    [types, "Buildpacks Process Types"] as const,
  ];
  return makeImage({
    os: "linux",
    architecture: parts.architecture ?? "amd64",
    created: DATE,
    config: {
      User: "1000:1000",
      Env: ["CNB_LAYERS_DIR=/layers", "CNB_APP_DIR=/workspace", "CNB_PLATFORM_API=0.14"],
      Entrypoint: ["/cnb/process/web"],
      WorkingDir: "/workspace",
      Labels: {
        "io.buildpacks.base.distro.name": "ubuntu",
        "io.buildpacks.base.distro.version": "24.04",
        "io.buildpacks.lifecycle.metadata": JSON.stringify(metadata),
        "io.buildpacks.build.metadata": formatBuildLabel(build, {
          launcher: { version: "0.21.0", repository: "", commit: "" },
        }),
        ...parts.labels,
      },
    },
    rootfs: { type: "layers", diff_ids: [] },
    history: all.map(([, created_by]) => ({ created: DATE, created_by })),
  }, all.map(([layer]) => layer));
}

/** Puts an image into a place under `tag`. */
export async function push(
  image: Image,
  to: Registry,
  repository: string,
  tag: string,
): Promise<Image> {
  await pushImage(image, to, repository, { tags: [tag] });
  return image;
}

/** An index of `images` under `tag`. */
export async function pushIndex(
  to: Registry,
  repository: string,
  tag: string,
  images: readonly Image[],
): Promise<void> {
  for (const image of images) await pushImage(image, to, repository);
  await to.pushManifest(repository, {
    mediaType: MediaType.ociIndex,
    bytes: encodeJson({
      schemaVersion: 2,
      mediaType: MediaType.ociIndex,
      manifests: images.map(({ raw, config }) => ({
        mediaType: raw.mediaType,
        digest: raw.digest,
        size: raw.bytes.byteLength,
        platform: { os: config.os, architecture: config.architecture },
      })),
    }),
  }, { tags: [tag] });
}
