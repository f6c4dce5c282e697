/** `wherry bundle create --with-dependencies`: what buildpacks would download goes into the bundle, as files of one artefact. */
import type {
  CarriedDependency,
  Dependency,
} from "../../lifecycle/platform/bundle_dependencies.ts";
import type { LockedImage } from "../../registry/bundle/lock.ts";
import type { Bundle } from "../../registry/bundle/read.ts";
import { download } from "../../registry/client/plain_download.ts";
import { Transport } from "../../registry/client/transport.ts";
import { makeImage } from "../../registry/image.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { OciError } from "../../registry/oci/error.ts";
import { parseDocument } from "../../registry/oci/manifest.ts";
import { bytesSource, readAll, type Source } from "../../registry/source.ts";
import type { Store } from "../../registry/store/store.ts";
import { transportOptions } from "../connect.ts";
import { UsageError } from "../exit.ts";
import type { Session } from "../session.ts";
import { VERSION } from "../version.ts";

const TYPE = "application/vnd.wherry.dependency.v1";
const REFERENCE = "wherry.invalid/dependencies:latest";
const MAX_DOCUMENT = 16 * 1024 * 1024;

/** `--filter ID=GLOB`: only these versions of a dependency; one that no filter names is left out. */
export function readFilters(texts: readonly string[]): (one: Dependency) => boolean {
  if (texts.length === 0) return () => true;
  const rules = texts.map((text) => {
    const [, id, glob] = /^([^=]+)=([\w.*+-]+)$/.exec(text) ?? [];
    if (id === undefined || glob === undefined) {
      throw new UsageError(
        `Cannot use --filter ${JSON.stringify(text)}: want ID=VERSION, jdk=21.*`,
      );
    }
    const escaped = glob.replaceAll(/[.+]/g, "\\$&").replaceAll("*", ".*");
    return { id, version: new RegExp(`^${escaped}$`) };
  });
  return ({ id, version }) => rules.some((rule) => rule.id === id && rule.version.test(version));
}

/** The artefact that carries them. */
export interface DependencyImage {
  /** For the lock. */
  readonly locked: LockedImage;
  /** Its own documents; the files lie in the store. */
  readonly content: ReadonlyMap<string, Source>;
}

/**
 * Brings files into the repository `scratch` of the store, each once, and makes the artefact of them: the same files make the
 * same one.
 *
 * @throws {OciError} When one cannot be had, or is not what `buildpack.toml` says.
 */
export async function takeDependencies(
  session: Session,
  list: readonly Dependency[],
  store: Store,
  scratch: string,
): Promise<DependencyImage | undefined> {
  const byDigest = new Map(list.map((one) => [one.digest, one]));
  const all = [...byDigest.values()].sort((a, b) => a.digest < b.digest ? -1 : 1);
  if (all.length === 0) return undefined;
  const { transport } = await transportOptions(session.io, session.flags, session.log, VERSION);
  await using web = new Transport(transport);
  const layers: Descriptor[] = [];
  for (const one of all) {
    const size = await fetchOne(session, web, one, store, scratch);
    layers.push({
      mediaType: TYPE,
      digest: one.digest,
      size,
      annotations: {
        "org.opencontainers.image.title": one.uri.replace(/[?#].*/, "").split("/").at(-1)!,
        "io.wherry.dependency.uri": one.uri,
      },
    });
  }
  const image = makeImage(
    { os: "", architecture: "", config: {}, rootfs: { type: "layers", diff_ids: [] } },
    layers.map((descriptor) => ({
      diffId: descriptor.digest,
      descriptor,
      blob: async () => (await store.content(descriptor.digest))!,
    })),
  );
  const { config } = image.manifest;
  const bare = ({ mediaType, digest, size }: Descriptor) => ({ mediaType, digest, size });
  return {
    locked: {
      reference: REFERENCE,
      role: "dependency",
      descriptor: {
        mediaType: image.raw.mediaType,
        digest: image.raw.digest,
        size: image.raw.bytes.byteLength,
      },
      absent: [],
      content: [...layers.map(bare), bare(config)].sort((a, b) => a.digest < b.digest ? -1 : 1),
    },
    content: new Map([
      [config.digest as string, bytesSource(image.rawConfig)],
      [image.raw.digest as string, bytesSource(image.raw.bytes)],
    ]),
  };
}

async function fetchOne(
  session: Session,
  web: Transport,
  { uri, digest, id, version, buildpack }: Dependency,
  store: Store,
  scratch: string,
): Promise<number> {
  const { signal } = session.ctx;
  if (await store.adopt(scratch, digest)) return (await store.content(digest))!.size;
  const meter = session.ctx.meter(`Fetching ${id} ${version}`);
  const upload = await store.upload(scratch, { signal });
  try {
    const answer = await download(web, uri, { signal });
    for await (const chunk of answer.body) {
      await upload.write(chunk);
      meter.add(chunk.byteLength);
    }
    return (await upload.commit(digest)).size;
  } catch (cause) {
    await upload.abort();
    signal.throwIfAborted();
    throw new OciError(
      "UNAVAILABLE",
      `Cannot bundle ${id} ${version}, which ${buildpack} downloads: ${(cause as Error).message}`,
      { cause },
    );
  } finally {
    meter.end();
  }
}

/** The files that a bundle carries for buildpacks. */
export async function carriedDependencies(bundle: Bundle): Promise<readonly CarriedDependency[]> {
  const found: CarriedDependency[] = [];
  for (const { role, descriptor } of bundle.images) {
    const manifest = role === "dependency" ? bundle.content(descriptor.digest) : undefined;
    if (manifest === undefined) continue;
    const bytes = await readAll(manifest, MAX_DOCUMENT);
    if (digestOf(bytes) !== descriptor.digest) continue;
    const document = parseDocument(bytes, descriptor.mediaType);
    if (document.kind !== "manifest") continue;
    for (const { digest } of document.manifest.layers) {
      const source = bundle.content(digest);
      if (source !== undefined) found.push({ digest, source });
    }
  }
  return found;
}
