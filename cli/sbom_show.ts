/** `wherry sbom list`, `sbom show`, and `inspect --sbom`. */
import type { BomDocument, BomFormat } from "../lifecycle/bom/document.ts";
import { bomSubject, mergeBom } from "../lifecycle/bom/merge.ts";
import { type BomPackage, mergePackages } from "../lifecycle/bom/package.ts";
import { attachedBoms } from "../lifecycle/bom/referrer.ts";
import { readLegacyBom } from "../lifecycle/bom/legacy.ts";
import { UsageError } from "./exit.ts";
import { count } from "./ui/count.ts";
import type { Io } from "./io.ts";
import type { AnyFormat } from "./output.ts";
import { openImage } from "./open_image.ts";
import { canList, findSboms, type SbomFlags, sbomsOf } from "./sbom_read.ts";
import { LOOK, Session } from "./session.ts";
import { plain } from "./ui/plain.ts";
import { formatSize } from "./ui/size.ts";
import { formatStructured } from "./ui/structured.ts";
import { fitTable } from "./ui/table.ts";
import { VERSION } from "./version.ts";

/** Lists the documents of an image, and those that lie beside it. */
export async function listSboms(
  io: Io,
  name: string,
  flags: SbomFlags,
  format: AnyFormat,
): Promise<void> {
  await using session = new Session(io, flags, LOOK);
  await using stack = new AsyncDisposableStack();
  const { documents, located: { registry, repository }, image } = await findSboms(
    session,
    name,
    flags,
    stack,
  );
  const attached = canList(registry)
    ? await attachedBoms(registry, repository, image.raw.digest, session.ctx.signal)
    : [];
  const inside = documents.filter(({ path }) => !path.startsWith("sha"));
  const rows = inside.map((one) => ({
    buildpack: one.buildpack,
    layer: one.layer,
    format: one.format,
    packages: packageCount(session, one),
    size: one.bytes.byteLength,
    path: one.path,
  }));
  if (format !== "human") {
    const value = { image_name: name, digest: image.raw.digest, documents: rows, attached };
    io.stdout.write(await formatStructured(value, format));
    return;
  }
  const width = widthOf(io);
  if (rows.length > 0) {
    io.stdout.write(fitTable(
      ["BUILDPACK", "LAYER", "FORMAT", "PACKAGES", "SIZE"],
      plain(rows).map((one) => [
        one.buildpack,
        one.layer || "-",
        one.format,
        String(one.packages),
        formatSize(one.size),
      ]),
      { width, optional: ["SIZE"] },
    ));
  }
  if (attached.length > 0) {
    io.stdout.write(
      (rows.length > 0 ? "\nAttached:\n" : "Attached:\n") + fitTable(
        ["FORMAT", "DIGEST"],
        attached.map((one) => [one.format, one.digest]),
        { indent: "  ", width, optional: [] },
      ),
    );
  }
}

function packageCount(session: Session, document: BomDocument): number {
  return mergePackages([document], ({ message }) => session.log.warn(message)).length;
}

/** Lists the packages of an image: `inspect --sbom`, and `sbom show` without a format. */
export async function listPackages(
  io: Io,
  name: string,
  flags: SbomFlags,
  format: AnyFormat,
): Promise<void> {
  await using session = new Session(io, flags, LOOK);
  await using stack = new AsyncDisposableStack();
  const packages = await packagesIn(session, name, flags, stack);
  if (format !== "human") {
    const value = { image_name: name, packages };
    io.stdout.write(await formatStructured(value, format));
    return;
  }
  io.stdout.write(packagesText(packages, widthOf(io)));
  session.log.info(`${count(packages.length, "package")}`);
}

async function packagesIn(
  session: Session,
  name: string,
  flags: SbomFlags,
  stack: AsyncDisposableStack,
): Promise<readonly BomPackage[]> {
  // Images of old platforms carry the list in a label.
  const opened = await openImage(session, name, flags, stack);
  const legacy = readLegacyBom(opened.image.config);
  if (legacy.length > 0) return legacy;
  const { documents } = await sbomsOf(session, opened, name, flags);
  return mergePackages(documents, ({ message }) => session.log.warn(message));
}

/** Packages as a table. */
function packagesText(packages: readonly BomPackage[], width: number | undefined): string {
  return fitTable(
    ["PACKAGE", "VERSION", "TYPE", "LICENCE", "BUILDPACK", "LAYER"],
    plain(packages).map((one) => [
      one.name,
      one.version || "-",
      one.type || "-",
      one.licenses.join(", ") || "-",
      one.buildpack || "-",
      one.layer || "-",
    ]),
    { width, optional: ["LAYER", "LICENCE", "TYPE", "BUILDPACK"] },
  );
}

/** Flags of `sbom show`. */
export interface ShowFlags extends SbomFlags {
  readonly format?: BomFormat | undefined;
  readonly merge?: boolean;
}

/** Writes one document to stdout: as a buildpack wrote it, or all of them as one. */
export async function showSbom(io: Io, name: string, flags: ShowFlags): Promise<void> {
  await using session = new Session(io, flags, LOOK);
  await using stack = new AsyncDisposableStack();
  const { format = "cyclonedx" } = flags;
  const { documents, image, located } = await findSboms(session, name, flags, stack);
  if (flags.merge) {
    const subject = bomSubject(image, located.name, VERSION);
    const merged = mergeBom(
      format,
      documents,
      subject,
      ({ message }) => session.log.warn(`${message}; it is left out`),
    );
    io.stdout.write(await formatStructured(merged, "json"));
    return;
  }
  const wanted = documents.filter((one) => one.format === format);
  if (wanted.length === 1) {
    io.stdout.write(safe(wanted[0]!.bytes, io.stdout.isTerminal));
    return;
  }
  const have = plain(wanted.map(({ buildpack, layer }) => `${buildpack}:${layer}`)).join(", ");
  throw new UsageError(
    wanted.length === 0
      ? `Cannot show ${format} of ${name}: its buildpacks wrote ${
        [...new Set(documents.map((one) => one.format))].join(", ")
      }; want another --format, or --merge to convert`
      : `Cannot show ${wanted.length} documents as one: want --merge, or --buildpack and --layer of ${have}`,
  );
}

/** A document is printed byte for byte, but to a terminal without what it would obey. */
function safe(bytes: Uint8Array, isTerminal: boolean): Uint8Array | string {
  if (!isTerminal) return bytes;
  return new TextDecoder().decode(bytes).split("\n").map((line) =>
    line.replaceAll(/[\p{Cc}\p{Cf}]/gu, (one) => one === "\t" ? one : " ")
  ).join("\n");
}

/** The width of the terminal; `undefined` when nobody looks. */
export function widthOf({ stdout }: Io): number | undefined {
  return stdout.isTerminal ? stdout.columns() : undefined;
}
