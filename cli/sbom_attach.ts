/** `wherry sbom attach` and `build --sbom-referrer`: the bill of materials beside the image, where scanners look. */
import { type BomDocument, bomLayer, readBomLayer } from "../lifecycle/bom/document.ts";
import type { BomFormat } from "../lifecycle/bom/document.ts";
import { bomSubject, mergeBom } from "../lifecycle/bom/merge.ts";
import { attachBom } from "../lifecycle/bom/referrer.ts";
import { readMetadata } from "../lifecycle/platform/image_info.ts";
import type { Context } from "../registry/context.ts";
import type { Image } from "../registry/image.ts";
import type { Registry } from "../registry/registry.ts";
import { fileFault, UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import { openImage } from "./open_image.ts";
import { inRegistry, readPlace, type Writable } from "./places.ts";
import type { SbomFlags } from "./sbom_read.ts";
import { Session } from "./session.ts";
import { formatStructured } from "./ui/structured.ts";
import { VERSION } from "./version.ts";

/** Flags of `sbom attach`. */
export interface AttachFlags extends SbomFlags {
  readonly format: readonly BomFormat[];
  readonly file?: string;
  readonly output: string;
}

/** Attaches the merged document of an image, or a file, in each format that is asked for. */
export async function attachSboms(io: Io, name: string, flags: AttachFlags): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const opened = await openImage(session, name, flags, stack);
  const to = await writable(session, name, opened.located);
  const { image } = opened;
  const given = flags.file === undefined ? undefined : await readGiven(session, flags);
  const documents = given === undefined ? await documentsOf(name, image, session.ctx) : [];
  const formats: readonly BomFormat[] = given === undefined ? flags.format : [given.format];
  const rows: { format: BomFormat; digest: string }[] = [];
  for (const format of formats) {
    const bytes = given?.bytes ?? await encoded(format, documents, image, to.name);
    const created = image.config.created ?? "1980-01-01T00:00:01Z";
    const { digest } = await attachBom(
      image,
      to.registry,
      to.repository,
      { format, bytes },
      created,
      session.ctx.signal,
    );
    rows.push({ format, digest });
  }
  if (flags.output === "json") {
    const value = { image_name: name, subject: image.raw.digest, attached: rows };
    io.stdout.write(await formatStructured(value, "json"));
  } else for (const { digest } of rows) io.stdout.write(`${to.repositoryName}@${digest}\n`);
}

async function writable(
  session: Session,
  name: string,
  located: { readonly registry: unknown },
): Promise<Writable> {
  const place = readPlace(name);
  if (place.kind === "oci-archive" || place.kind === "docker-archive") {
    throw new UsageError(`Cannot attach to ${name}: an archive is written once; want oci:DIR`);
  }
  // Mirrors are read only: what is attached goes to the image's own registry.
  return place.kind === "registry" && !("dir" in (located.registry as object))
    ? await inRegistry(session, place.reference)
    : located as Writable;
}

async function readGiven(
  session: Session,
  flags: AttachFlags,
): Promise<{ readonly format: BomFormat; readonly bytes: Uint8Array<ArrayBuffer> }> {
  const file = flags.file!;
  let bytes: Uint8Array<ArrayBuffer>;
  let json: Record<string, unknown>;
  try {
    bytes = await Deno.readFile(session.path(file));
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new UsageError(
      `Cannot attach ${JSON.stringify(file)}: ${
        cause instanceof SyntaxError ? "it is not JSON" : fileFault(cause)
      }`,
      { cause },
    );
  }
  const format = json?.["bomFormat"] === "CycloneDX"
    ? "cyclonedx"
    : typeof json?.["spdxVersion"] === "string" || "@graph" in (json ?? {})
    ? "spdx"
    : Array.isArray(json?.["artifacts"])
    ? "syft"
    : undefined;
  if (format !== undefined) return { format, bytes };
  throw new UsageError(
    `Cannot attach ${JSON.stringify(file)}: it is no CycloneDX, SPDX or Syft document`,
  );
}

async function documentsOf(
  name: string,
  image: Image,
  ctx: Context,
): Promise<readonly BomDocument[]> {
  const metadata = readMetadata(image.config);
  const layer = bomLayer(image, metadata);
  if (layer !== undefined) return await readBomLayer(layer, metadata, ctx.signal);
  throw new Error(`Cannot attach a bill of materials to ${name}: it has none; want --file FILE`);
}

async function encoded(
  format: BomFormat,
  documents: readonly BomDocument[],
  image: Image,
  name: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const merged = mergeBom(format, documents, bomSubject(image, name, VERSION), () => {});
  return new TextEncoder().encode(await formatStructured(merged, "json"));
}

/**
 * After a build: the merged CycloneDX document beside the image. An image whose buildpacks wrote none gets none.
 *
 * @returns The digest of what was attached.
 */
export async function attachAfterBuild(
  image: Image,
  to: Registry,
  repository: string,
  name: string,
  ctx: Context,
): Promise<string | undefined> {
  const metadata = readMetadata(image.config);
  const layer = bomLayer(image, metadata);
  if (layer === undefined) {
    ctx.log.warn("No bill of materials is attached: the buildpacks wrote none");
    return undefined;
  }
  const documents = await readBomLayer(layer, metadata, ctx.signal);
  const bytes = await encoded("cyclonedx", documents, image, name);
  const created = image.config.created ?? "";
  const document = { format: "cyclonedx", bytes } as const;
  return (await attachBom(image, to, repository, document, created, ctx.signal)).digest;
}
