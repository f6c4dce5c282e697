/** `wherry bundle create`. */
import { contentOf, type Lock, type LockedImage, parseLock } from "../../registry/bundle/lock.ts";
import { openBundle } from "../../registry/bundle/read.ts";
import { writeBundle } from "../../registry/bundle/write.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { type Digest, digestOf } from "../../registry/oci/digest.ts";
import type { Dependency } from "../../lifecycle/platform/bundle_dependencies.ts";
import type { CommonFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { readPlatform } from "../platform.ts";
import { Session } from "../session.ts";
import { count } from "../ui/count.ts";
import { formatSize, parseSize } from "../ui/size.ts";
import { formatTable } from "../ui/table.ts";
import { VERSION } from "../version.ts";
import { blobOf, documentOf, fetchAll, SCRATCH } from "./bytes.ts";
import { type BundleContent, takeAll } from "./content.ts";
import { readFilters, takeDependencies } from "./dependencies.ts";
import { readSigner } from "./keys.ts";
import { toolImage } from "./tool_image.ts";

/** Flags of the command. */
export interface CreateBundleFlags extends CommonFlags, BundleContent {
  readonly includeTool?: boolean;
  readonly filter?: readonly string[];
  readonly platform?: readonly string[];
  readonly since?: string;
  readonly split?: string;
  readonly sign?: string;
  readonly dryRun?: boolean;
  readonly output: string;
}

function namesOf(dependencies: readonly Dependency[]): string {
  return [...new Set(dependencies.map(({ id, version }) => `${id} ${version}`))].join(", ");
}

/** Writes a bundle. */
export async function createBundle(
  io: Io,
  file: string,
  flags: CreateBundleFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  const platforms = (flags.platform ?? []).map(readPlatform);
  const isWanted = readFilters(flags.filter ?? []);
  if (flags.filter !== undefined && !flags.withDependencies) {
    throw new UsageError("Cannot use --filter without --with-dependencies: it chooses among those");
  }
  const partBytes = flags.split === undefined ? undefined : parseSize(flags.split, "--split");
  const sign = flags.sign === undefined ? undefined : await readSigner(session.path(flags.sign));
  const before = flags.since === undefined
    ? undefined
    : await readSince(session, flags.since, stack);
  await session.lendStore();
  const store = await session.store();
  stack.use(await store.lease());
  const dependencies: Dependency[] = [];
  const taken = await takeAll(session, flags, platforms, dependencies, stack);
  const wanted = dependencies.filter(isWanted);
  if (wanted.length === 0 && dependencies.length > 0) {
    session.log.warn(`No dependency fits --filter: buildpacks name ${namesOf(dependencies)}`);
  }
  if (flags.dryRun && wanted.length > 0) {
    session.log.info(`Would be downloaded, too: ${namesOf(wanted)}`);
  }
  const files = flags.dryRun ? undefined : await takeDependencies(session, wanted, store, SCRATCH);
  const tool = flags.includeTool ? toolImage() : undefined;
  const images = [
    ...taken.map(({ locked }) => locked),
    ...(tool ? [tool.locked] : []),
    ...(files ? [files.locked] : []),
  ]
    .sort((a, b) => a.reference < b.reference ? -1 : 1);
  if (images.length === 0) {
    throw new UsageError(
      "Cannot make an empty bundle: want --builder, --run-image, --app or --package",
    );
  }
  const has = new Set(before && contentOf(before.lock).map(({ digest }) => digest));
  const draft: Omit<Lock, "parts"> = {
    version: 1,
    tool: `wherry ${VERSION}`,
    platforms,
    ...(before === undefined ? {} : { since: before.digest }),
    before: contentOf({ images }).map(({ digest }) => digest).filter((one) => has.has(one)),
    images,
  };
  const content = contentOf({ images }).filter(({ digest }) => !has.has(digest));
  if (flags.dryRun) {
    tellPlan(io, flags, images, content);
    return;
  }
  await fetchAll(session, taken, new Set(content.map(({ digest }) => digest)), store);
  const meter = session.ctx.meter(
    `Writing ${file}`,
    content.reduce((sum, one) => sum + one.size, 0),
  );
  const written = await writeBundle(
    session.path(file),
    draft,
    async ({ digest }) =>
      tool?.content.get(digest) ?? files?.content.get(digest) ?? documentOf(taken, digest) ??
        await blobOf(store, digest),
    { signal: session.ctx.signal, partBytes, sign, onProgress: (bytes) => meter.add(bytes) },
  );
  meter.end();
  const { lockBytes } = written;
  if (flags.output === "json") {
    io.stdout.write(
      JSON.stringify(
        {
          files: written.files,
          lock: digestOf(lockBytes),
          images: images.map(({ reference, role, descriptor }) => ({
            reference,
            role,
            digest: descriptor.digest,
          })),
          blobs: content.length,
          bytes: content.reduce((sum, one) => sum + one.size, 0),
        },
        null,
        2,
      ) + "\n",
    );
    return;
  }
  tellSize(session, images, content);
  const large = content.filter(({ size }) => size > (partBytes ?? Infinity));
  if (large.length > 0) {
    session.log.warn(
      `A part cannot be smaller than a blob: ${
        large.map(({ size }) => formatSize(size)).join(", ")
      } in one, more than --split ${flags.split}`,
    );
  }
  for (const one of written.files) io.stdout.write(`${one}\n`);
}

function tellSize(
  session: Session,
  images: readonly LockedImage[],
  content: readonly Descriptor[],
): void {
  const bytes = content.reduce((sum, one) => sum + one.size, 0);
  session.log.info(
    `Bundled ${count(images.length, "image")}: ${count(content.length, "blob")}, ${
      formatSize(bytes)
    }`,
  );
}

function tellPlan(
  io: Io,
  flags: CreateBundleFlags,
  images: readonly LockedImage[],
  content: readonly Descriptor[],
): void {
  const bytes = content.reduce((sum, one) => sum + one.size, 0);
  if (flags.output === "json") {
    io.stdout.write(JSON.stringify({ images, blobs: content.length, bytes }, null, 2) + "\n");
    return;
  }
  const rows = images.map((one) => [one.role, one.reference, one.requiredBy ?? "-"]);
  io.stdout.write(
    `${formatTable(["ROLE", "IMAGE", "NEEDED BY"], rows)}${count(content.length, "blob")}, ${
      formatSize(bytes)
    } would be written\n`,
  );
}

async function readSince(
  session: Session,
  name: string,
  stack: AsyncDisposableStack,
): Promise<{ readonly lock: Lock; readonly digest: Digest }> {
  const path = session.path(name);
  if (name.endsWith(".json") || name.endsWith(".lock")) {
    let bytes: Uint8Array;
    try {
      bytes = await Deno.readFile(path);
    } catch (cause) {
      throw new UsageError(`Cannot read --since ${name}: ${(cause as Error).message}`, { cause });
    }
    return { lock: parseLock(bytes, name), digest: digestOf(bytes) };
  }
  const { lock, lockBytes } = stack.use(
    await openBundle([path], { signal: session.ctx.signal }),
  );
  return { lock, digest: digestOf(lockBytes) };
}
